"""The apps' native library: its pages, and LiteRT beside another TensorFlow Lite in one process."""

import json
import re
import shutil
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.sdk_build.tflite_files import Graph

SOURCES = Path(__file__).parents[3] / "android_demo" / "onpar" / "src" / "main" / "cpp"
PAGE = 16384  # bytes; phones with such pages load only libraries that are aligned to them
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")


def load_alignments(path):
    """Alignments of a 64-bit little-endian ELF file's LOAD segments (System V ABI, program headers)."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\2\1"
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, start + i * size) for i in range(count)]
    return [header[7] for header in headers if header[0] == 1]


def compiled(folder, *options):
    target = folder / "libonpar.so"
    arguments = [
        "gcc",
        "-std=c11",
        "-O1",
        "-shared",
        "-fPIC",
        SOURCES / "onpar_litert.c",
        "-o",
        target,
        *options,
        "-ldl",
    ]
    subprocess.run(arguments, check=True, timeout=120)
    return target


def link_options():
    """What the app's build gives to the linker."""
    text = (SOURCES / "CMakeLists.txt").read_text(encoding="utf-8")
    (options,) = re.findall(r"target_link_options\(onpar PRIVATE ([^)]+)\)", text)
    return options.split()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("native"), *link_options())


def test_the_library_is_aligned_to_16_kb_pages(library, tmp_path):
    found = load_alignments(library)
    assert len(found) >= 2
    assert all(alignment % PAGE == 0 for alignment in found)
    assert min(load_alignments(compiled(tmp_path, "-Wl,-z,max-page-size=4096"))) == 4096


def doubled(path):
    """A model: y is x twice."""
    graph = Graph()
    x, y = graph.tensor("x", [4]), graph.tensor("y", [4])
    graph.operation("ADD", [x, x], [y], schema.AddOptionsT())
    return graph.write(path, [x], [y])


# Runs one model on both runtimes in one process and prints what each gives, and which libraries are loaded.
BOTH = """
import ctypes, json, sys
from pathlib import Path
import numpy as np

library, litert, model, order = sys.argv[1:]
content = Path(model).read_bytes()
x = np.arange(4, dtype=np.float32)

class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_int), ("size", ctypes.c_size_t)]

def through_c():
    onpar, handle, error = ctypes.CDLL(library), ctypes.c_void_p(), ctypes.create_string_buffer(300)
    tensors = ctypes.POINTER(Tensor)
    onpar.onpar_open.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, tensors, ctypes.c_int, tensors,
        ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    given, made = (Tensor * 1)(Tensor(b"x", 1, 4)), (Tensor * 1)(Tensor(b"y", 1, 4))
    status = onpar.onpar_open(
        litert.encode(), content, len(content), given, 1, made, 1, ctypes.byref(handle), error, 300)
    assert status == 0, error.value
    onpar.onpar_run.argtypes = [ctypes.c_void_p] * 3

    def run():
        y = np.zeros(4, np.float32)
        read, written = ((ctypes.c_void_p * 1)(array.ctypes.data) for array in (x, y))
        assert onpar.onpar_run(handle, read, written) == 0
        return y.tolist()
    return run

def through_python():
    from ai_edge_litert.interpreter import Interpreter
    runner = Interpreter(model_content=content).get_signature_runner()
    return lambda: runner(x=x)["y"].tolist()

makers = {"c": through_c, "python": through_python}
runs = {name: makers[name]() for name in order.split(",")}
results = [{name: run() for name, run in runs.items()} for _ in range(2)]
loaded = {Path(line.split()[-1]).name for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
print(json.dumps({"results": results, "loaded": sorted(loaded)}))
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what a process has loaded")
@pytest.mark.parametrize("order", ["c,python", "python,c"])
def test_two_runtimes_in_one_process_both_answer(order, library, tmp_path):
    """An app may bring TensorFlow Lite with another library: here the wheel's interpreter has its own copy."""
    spec = find_spec("ai_edge_litert")
    assert spec is not None and spec.origin is not None
    litert = Path(spec.origin).parent / "libLiteRt.so"
    model = doubled(tmp_path / "model.tflite")
    arguments = [sys.executable, "-c", BOTH, library, litert, model, order]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"libLiteRt.so", "libpywrap_litert_common.so"} <= set(found["loaded"])
    assert found["results"] == [{name: [0.0, 2.0, 4.0, 6.0] for name in order.split(",")}] * 2
