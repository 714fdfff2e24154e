"""A pytest plugin: coremltools' tests predict through the emulation, and what comes of each is written down.

It says that this is macOS 26 on arm64. Site-packages are not touched. Seeds follow a test's id, so that every run sees
the same numbers.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import sys
import traceback
import types
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# coremltools' own settings, which it reads when it is imported: ML programs in both precisions and for every system.
os.environ.update(
    PYMIL_TEST_TARGETS="mlprogram",
    INCLUDE_MIL_FP32_UNIT_TESTS="1",
    RUN_BACKWARD_COMPATIBILITY="1",
    COMPUTE_UNITS="CPU_ONLY",
    TORCHAO_SKIP_LOADING_SO_FILES="1",
)

import coremltools as ct
import coremltools._deps as deps
import coremltools.models.utils as ct_utils
import numpy as np
import pytest
import torch

from tests.sdk_build.mil.apple.proxy import EmulatedProxy, Happened
from tests.sdk_build.mil.apple.selection import Selection, choose

COLLECT_EVERY = 50  # tests; coremltools collects garbage at every conversion, a second each


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("apple")
    group.addoption("--apple-results", type=Path, required=True, help="results are appended here, a JSON line each")
    group.addoption("--apple-ids", type=Path, help="a file with the ids to run, one a line; else --apple-selection")
    group.addoption("--apple-selection", default="1:1:0/1", help="STRIDE:LEAST:SHARD/SHARDS")
    group.addoption("--apple-corrupt", action="store_true", help="make every output wrong")


def pytest_configure(config: pytest.Config) -> None:
    EmulatedProxy.corrupt = config.getoption("--apple-corrupt")
    torch.set_num_threads(1)
    _pretend_to_be_a_mac()
    _stand_in_for_what_is_not_here()
    _compare_half_precision_as_such()
    gc.collect()
    gc.freeze()
    gc.collect = lambda generation=2: 0  # type: ignore[assignment]


def _pretend_to_be_a_mac() -> None:
    binding = types.ModuleType("coremltools.libcoremlpython")
    binding._MLModelProxy = EmulatedProxy  # type: ignore[attr-defined]
    sys.modules["coremltools.libcoremlpython"] = binding
    ct.libcoremlpython = binding
    platform.machine = lambda: "arm64"
    deps._IS_MACOS = True
    replaced = {"_MLModelProxy": EmulatedProxy, "_macos_version": lambda: (26, 0), "_is_macos": lambda: True}
    for name, module in list(sys.modules.items()):
        if name.startswith("coremltools") and module is not None:
            for attribute in replaced.keys() & vars(module).keys():
                setattr(module, attribute, replaced[attribute])
    ct_utils._macos_version, ct_utils._is_macos = replaced["_macos_version"], replaced["_is_macos"]


def _compare_half_precision_as_such() -> None:
    """A program that holds float16 is compared within coremltools' own limits for float16.

    Some tests ask for a float32 program and give it float16 parameters; Apple's CI runs them as float16 alone.
    """
    from coremltools.converters.mil import testing_utils  # it asks which system this is when it is imported

    compare = testing_utils.compare_backend

    def compare_backend(
        mlmodel: Any, input_key_values: Any, expected_outputs: Any, dtype: str = "fp32", **rest: Any
    ) -> Any:
        holds_half = isinstance(mlmodel.__proxy__, EmulatedProxy) and mlmodel.__proxy__.holds_half()
        return compare(mlmodel, input_key_values, expected_outputs, dtype="fp16" if holds_half else dtype, **rest)

    testing_utils.compare_backend = compare_backend


def _stand_in_for_what_is_not_here() -> None:
    """Empty modules where test files import packages that few of their tests need."""
    for name in ("torchvision", "peft"):
        try:
            __import__(name)
        except ImportError:
            empty = types.ModuleType(name)
            empty.__getattr__ = lambda attribute: object  # type: ignore[method-assign, assignment]
            sys.modules[name] = empty
    if not hasattr(torch.export, "export_for_training"):  # gone from newer PyTorch
        torch.export.export_for_training = torch.export.export


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Some files draw parameters when they are imported, and their tests' ids hold them."""
    if isinstance(collector, pytest.Module):
        _seed(collector.nodeid)
    yield


def _seed(name: str) -> None:
    seed = zlib.crc32(name.encode())
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the tests draw from the old generator
    torch.manual_seed(seed)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    results: Path = config.getoption("--apple-results")
    _note_what_ended_the_process(results)
    done = {json.loads(line)["id"] for line in results.read_text().splitlines()} if results.is_file() else set()
    ids: Path | None = config.getoption("--apple-ids")
    every = [item.nodeid for item in items]
    wanted = set(ids.read_text().splitlines()) if ids else set(choose(every, selection_of(config)))
    kept = [item for item in items if item.nodeid in wanted - done]
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in wanted - done])
    # In an order of their own, so that an unfinished run is an even sample.
    items[:] = sorted(kept, key=lambda item: zlib.crc32(item.nodeid.encode()))


def _note_what_ended_the_process(results: Path) -> None:
    """The test that was running when an earlier process ended has its outcome, too."""
    running = results.with_suffix(".running")
    if running.is_file():
        entry = {"id": running.read_text(), "outcome": "failed", "message": "the process ended", "predictions": 1}
        entry |= {"expected_to_fail": False, "error": ["crash", "the process ended", ""], "operations": {}}
        with results.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        running.unlink()


def selection_of(config: pytest.Config) -> Selection:
    return Selection.parse(config.getoption("--apple-selection"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[COUNT] = item.config.stash.get(COUNT, 0) + 1
    if item.config.stash[COUNT] % COLLECT_EVERY == 0:
        _really_collect()
    EmulatedProxy.happened = Happened()
    item.config.getoption("--apple-results").with_suffix(".running").write_text(item.nodeid)
    _seed(item.nodeid)


COUNT = pytest.StashKey[int]()
_really_collect = gc.collect


def pytest_runtest_teardown(item: pytest.Item) -> None:
    item.config.getoption("--apple-results").with_suffix(".running").unlink(missing_ok=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" or report.outcome != "passed":
        with item.config.getoption("--apple-results").open("a") as file:
            file.write(json.dumps(_entry(item, call, report)) + "\n")


def _entry(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> dict[str, Any]:
    error, happened = call.excinfo, EmulatedProxy.happened
    place = ""
    if error is not None:
        frame = traceback.extract_tb(error.value.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
    return {
        "id": item.nodeid,
        "when": report.when,
        "outcome": report.outcome,
        "expected_to_fail": hasattr(report, "wasxfail"),
        "message": "" if error is None else f"{error.typename}: {error.value}"[:1000],
        "place": place,
        "predictions": happened.predictions,
        "operations": dict(happened.operations),
        "error": happened.error,
        "seconds": round(call.duration, 3),
    }
