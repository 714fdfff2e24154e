"""``python -m benchmarks.arm64 [DIST]``: every .tflite of a folder on emulated arm64 cores, proved and counted.

LiteRT's own arm64 build runs in QEMU's user emulation, on three cores: Cortex-A53 (NEON only), Cortex-A76 (dot
products, half precision) and ``max`` (int8 matrix products, bfloat16). Outputs are held to the limits that the bundle
was proved with. Where QEMU's counting plugin (``arm64_counter.c``) is there, executed instructions per inference are
counted: emulated arm64 instructions, repeatable to the last one, good for noticing a change, and no latency.

The toolchain (QEMU from Debian 13, Python and LiteRT for arm64) lies in ``.cache/arm64`` and is fetched once with apt
and pip as they are configured on this machine; nothing is installed and root is not needed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reference.errors import BadInput
from reference.spec import from_json
from sdk_build.command import exit_with, need_checkout
from sdk_build.errors import ArtifactCrashed, BackendUnavailable, BundleNotFound

if TYPE_CHECKING:
    from sdk_build.bundle.files import Bundle
    from sdk_build.proof.parity import Check

CACHE = Path(__file__).parents[1] / ".cache" / "arm64"
BASELINE = Path(__file__).parent / "results" / "arm64.json"
CPUS = {"cortex-a53": "cortex-a53", "cortex-a76": "cortex-a76", "max": "max,sme=off,sve=off"}
LIBRARY = "libarm64_counter.so"
COMPILE = 'gcc -O2 -Wall -Wextra -Werror -shared -fPIC -Iinclude/qemu $(pkg-config --cflags glib-2.0) -o "$2" "$1"'
LABEL = "emulated arm64 instructions"
MARGIN = 0.01
COUNTER = Path(__file__).with_name("arm64_counter.c")
ADDRESS_SPACE = "0x4000000000"  # reserved, not used
FEW, COUNTED = 2, 3  # calls before those that are counted, and of those
# Python of Debian 12 and what its extension modules and LiteRT load.
PACKAGES = (
    *("libc6", "libgcc-s1", "libstdc++6", "libgomp1", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5"),
    *("libssl3", "libuuid1", "libcrypt1", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
)
WHEELS = ("ai-edge-litert", "numpy", "flatbuffers", "protobuf", "tqdm", "typing-extensions", "backports.strenum")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Count:
    """Instructions of one inference of one artifact on one core."""

    bundle: str
    cpu: str
    instructions: int


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and check; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.arm64",
        description=__doc__.splitlines()[0],
        epilog="Exit codes: 0 all proved, 1 an artifact differs or needs other instructions, 2 wrong use or bad input.",
    )
    parser.add_argument("dist", type=Path, nargs="?", default=Path("dist"), help="folder with bundles (default dist)")
    parser.add_argument("--prepare", action="store_true", help="fetch the toolchain into .cache/arm64 first")
    parser.add_argument("--count", action="store_true", help="count instructions; needs QEMU's plugin, see --build")
    parser.add_argument("--build", action="store_true", help="build QEMU with its counting plugin first: ten minutes")
    parser.add_argument("--update", action="store_true", help="write the counts instead of checking them")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.dist, a.prepare, a.build, a.count or a.update, a.update, a.json))


def run(dist: Path, fetch: bool, build: bool, counting: bool, update: bool, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    need_checkout("benchmarks.arm64", "the source of its counter and a folder for its toolchain")
    if fetch:
        prepare(CACHE)
    if build:
        build_counter(CACHE)
    from sdk_build.bundle.files import open_bundle

    check_ready(CACHE, counting)
    bundles = [open_bundle(p.parent) for p in sorted(dist.glob("[!.]*/bundle.json"))]
    bundles = [b for b in bundles if any(e.runtime == "litert" for e in b.manifest.model_files)]
    if not bundles:
        raise BundleNotFound(f"no bundle with a .tflite in {dist}; run python -m sdk_build.export --target android")
    checks = [(b.manifest.id, cpu, c) for b in bundles for cpu in CPUS for c in prove(CACHE, b, cpu)]
    counts = [count(CACHE, b, cpu) for b in bundles for cpu in CPUS] if counting else []
    if update:
        write_counts(BASELINE, counts)
    changed = compare(counts, read_counts(BASELINE)) if counting and not update else []
    if as_json:
        document = {"parity": [{"bundle": i, "cpu": cpu, **c.to_json()} for i, cpu, c in checks]}
        print(json.dumps({**document, "counts": [asdict(c) for c in counts], "changed": changed, "label": LABEL}))
    else:
        _print(checks, counts, changed)
    return 1 if changed or any(not c.passed for _, _, c in checks) else 0


def _print(checks: Sequence[tuple[str, str, Check]], counts: Sequence[Count], changed: Sequence[str]) -> None:
    for name, cpu, check in checks:
        if check.limit is not None or check.metric == "sqnr_db":
            print(f"{'ok' if check.passed else 'FAILED':<7}{name:<44}{cpu:<12}{check.metric} {check.value:.4g}")
    for c in counts:
        print(f"       {c.bundle:<44}{c.cpu:<12}{c.instructions / 1e6:.3f} M {LABEL} per inference")
    for line in changed:
        print(f"FAILED {line}")


def prepare(cache: Path) -> None:
    """Fetch QEMU, an arm64 root folder and LiteRT's wheels; what is there already stays.

    Raises:
        BackendUnavailable: apt or pip could not fetch something.
    """
    if not (cache / "qemu" / "usr/bin/qemu-aarch64").exists():
        for file in download(cache / "apt-trixie", "trixie", "amd64", ("qemu-user",)):
            _call(["dpkg", "-x", str(file), str(cache / "qemu")])
    root = cache / "root"
    if not (root / "usr/bin/python3.11").exists():
        for file in download(cache / "apt-bookworm", "bookworm", "arm64", PACKAGES):
            _call(["dpkg", "-x", str(file), str(root)])
    site = root / "site"
    if not (site / "numpy").exists():
        site.mkdir(parents=True, exist_ok=True)
        for wheel in _wheels(cache / "wheels"):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(site)


def download(folder: Path, suite: str, architecture: str, names: Sequence[str]) -> list[Path]:
    """Packages of another Debian suite or architecture."""
    _call([*_apt(folder, suite, architecture, "deb"), "download", *names], folder)
    return sorted(folder.glob("*.deb"))


def _apt(folder: Path, suite: str, architecture: str, kind: str) -> list[str]:
    """apt-get for another suite, from the mirrors that this machine's apt knows, without touching its state."""
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    sources = [p for p in Path("/etc/apt").glob("sources.list.d/*.sources") if "debian" in p.read_text()]
    if not sources:
        raise BackendUnavailable("apt has no Debian sources on this machine; copy .cache/arm64 from another one")
    text = "\n\n".join(p.read_text() for p in sources)
    text = text.replace(_codename(), suite).replace("Types: deb\n", f"Types: {kind}\n")
    (folder / "s.sources").write_text(text)
    options = {
        "Dir::Etc::sourcelist": folder / "s.sources",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache::archives": folder / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
    }
    apt = ["apt-get", "-qq", *(text for key, value in options.items() for text in ("-o", f"{key}={value}"))]
    _call([*apt, "update"], folder)
    return apt


def _codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    names = [line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME=")]
    return names[0] if names else "bookworm"


def _wheels(folder: Path) -> list[Path]:
    wanted = [f"{name}=={_version(name)}" for name in WHEELS if _version(name)]
    platforms = [f"--platform=manylinux_2_{n}_aarch64" for n in (17, 27, 28)]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    python = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
    _call([*command, *python, *platforms, "--platform=any", "-d", str(folder), *wanted])
    return sorted(folder.glob("*.whl"))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def build_counter(cache: Path) -> None:
    """Build QEMU's user emulation with plugins from Debian's source package, and the instruction counter.

    Needs a C compiler, ninja, pkg-config and glib's headers (``build-essential ninja-build libglib2.0-dev``).

    Raises:
        BackendUnavailable: sources or one of these are missing.
    """
    folder = cache / "source"
    if not (cache / "counter" / "qemu-aarch64").exists():
        _build_qemu(cache, folder)
    _call(["sh", "-c", COMPILE, "sh", str(COUNTER), str(cache / "counter" / LIBRARY)], folder / "tree")


def _build_qemu(cache: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _call([*_apt(folder, "trixie", "amd64", "deb-src"), "source", "--download-only", "qemu"], folder)
    _call(["sh", "-c", "rm -rf tree; mkdir -p tree/b; tar xf qemu_*.orig.tar.* -C tree --strip-components=1"], folder)
    # Debian leaves the wheels out of the source that QEMU's build looks for.
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", "tree/python/wheels"]
    _call([*pip, "meson==1.5.0", "pycotap==1.3.1"], folder)
    script = (
        "set -e; cd tree/b; ../configure --target-list=aarch64-linux-user --enable-plugins --disable-docs "
        "--disable-system --disable-tools --disable-install-blobs >/dev/null; "
        "ninja qemu-aarch64 >/dev/null"
    )
    _call(["sh", "-c", script], folder)
    (cache / "counter").mkdir(exist_ok=True)
    shutil.copy2(folder / "tree" / "b" / "qemu-aarch64", cache / "counter")


def _call(command: list[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BackendUnavailable(f"{command[0]} is not installed; arm64 emulation is prepared on Debian") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BackendUnavailable(f"{' '.join(command[:2])} failed ({last}); arm64 emulation needs it")


def check_ready(cache: Path, counting: bool) -> None:
    """Refuse to start without the toolchain.

    Raises:
        BackendUnavailable: it is not there.
    """
    if not (cache / "root" / "site" / "numpy").exists() or not (cache / "qemu/usr/bin/qemu-aarch64").exists():
        raise BackendUnavailable(f"no arm64 toolchain in {cache.name}; run 'make arm64', or --prepare, once")
    if counting and not (cache / "counter" / LIBRARY).exists():
        raise BackendUnavailable("no QEMU with a counting plugin; run python -m benchmarks.arm64 --build once")


def _emulate(
    cache: Path, cpu: str, arguments: Sequence[str], counting: bool = False
) -> subprocess.CompletedProcess[str]:
    root = cache / "root"
    qemu = cache / ("counter/qemu-aarch64" if counting else "qemu/usr/bin/qemu-aarch64")
    plugin = ["-plugin", str(cache / "counter" / LIBRARY), "-d", "plugin"] if counting else []
    # Where things lie in memory decides how a program goes about them: elsewhere a call takes a few instructions
    # more. QEMU places them alike where it owns the address space from the start.
    fixed = ["setarch", "-R"] if counting and shutil.which("setarch") else []
    reserved = ["-R", ADDRESS_SPACE] if counting else []
    environment = {
        "PYTHONHOME": str(root / "usr"),
        "PYTHONPATH": str(root / "site"),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
    }
    command = [*fixed, str(qemu), *reserved, "-seed", "1", "-L", str(root), "-cpu", CPUS[cpu], *plugin]
    command.append(str(root / "usr/bin/python3.11"))
    return subprocess.run(
        [*command, "-s", str(Path(__file__).with_name("arm64_child.py")), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environment,
        timeout=1800,
    )


def prove(cache: Path, bundle: Bundle, cpu: str) -> list[Check]:
    """Golden inputs through the arm64 runtime, under the limits that the bundle was proved with.

    Raises:
        ArtifactCrashed: it did not run.
    """
    import tempfile

    from reference.golden import thin_all
    from sdk_build.proof.parity import ARTIFACT_STAGES
    from sdk_build.proof.parity import compare as compare_outputs

    spec, manifest = bundle.manifest.spec, bundle.manifest
    entry = next(e for e in manifest.model_files if e.runtime == "litert")
    limits = {
        c.metric: c.limit
        for c in manifest.parity
        if c.stage in ARTIFACT_STAGES and c.runtime == entry.executed_here_by and c.limit is not None
    }
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for case in range(len(manifest.golden)):
            given, taken = Path(folder) / "in.npy", Path(folder) / "out.npz"
            np.save(given, bundle.golden_tensor(case, spec.input.name))
            done = _emulate(cache, cpu, [str(bundle.path / entry.file), str(given), str(taken), "1"])
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise ArtifactCrashed(f"{manifest.id} does not run on emulated {cpu} ({last}); export it again")
            with np.load(taken) as stored:
                actual = thin_all({t.name: stored[t.name] for t in spec.outputs})
            pairs.append((actual, {t.name: bundle.golden_tensor(case, t.name) for t in spec.outputs}))
    return compare_outputs(f"litert (emulated {cpu})", "golden_replay", spec, limits, pairs)


def count(cache: Path, bundle: Bundle, cpu: str) -> Count:
    """Instructions of one inference, once the first ones have warmed up."""
    import tempfile

    entry = next(e for e in bundle.manifest.model_files if e.runtime == "litert")
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "in.npy"
        np.save(given, bundle.golden_tensor(0, bundle.manifest.spec.input.name))
        arguments = [str(bundle.path / entry.file), str(given), "-", str(FEW + COUNTED)]
        done = _emulate(cache, cpu, arguments, counting=True)
    return Count(bundle.manifest.id, cpu, min(calls_of(done.stderr)[FEW:]))


def calls_of(text: str) -> list[int]:
    """Instructions between the marks that the counter wrote, in lines ``executed: N``.

    Raises:
        ArtifactCrashed: there are too few.
    """
    marks = [int(line.partition(":")[2]) for line in text.splitlines() if line.startswith("executed:")]
    if len(marks) <= FEW + COUNTED:
        raise ArtifactCrashed(
            f"QEMU's counter gave {len(marks)} marks of {FEW + COUNTED + 1}; build it again with --build"
        )
    return [after - before for before, after in pairwise(marks)]


def compare(now: Sequence[Count], before: Sequence[Count]) -> list[str]:
    """A line for every count that moved by more than a hundredth, or is new.

    Fewer instructions are news too: the committed number no longer says what the artifact does.
    """
    known = {(c.bundle, c.cpu): c.instructions for c in before}
    lines = []
    for c in now:
        old = known.get((c.bundle, c.cpu))
        if old is None:
            lines.append(f"{c.bundle} {c.cpu} has no committed count; look at it and run with --update")
        elif abs(c.instructions / old - 1) > MARGIN:
            lines.append(f"{c.bundle} {c.cpu}: {c.instructions:,} {LABEL}, committed {old:,}; +-1 % is allowed")
    return lines


def read_counts(path: Path) -> list[Count]:
    """Committed counts.

    Raises:
        BadInput: missing, damaged, or of another version.
    """
    try:
        document: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"can't read {path.name} ({error}); run with --update to write it") from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise BadInput(f"{path.name} is of another version; allowed: {SCHEMA_VERSION}; run with --update")
    return [from_json(Count, entry) for entry in document.get("counts", [])]


def write_counts(path: Path, counts: Sequence[Count]) -> None:
    """Write counts, one a line."""
    lines = ",\n".join(json.dumps(asdict(c)) for c in counts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"schema_version": {SCHEMA_VERSION}, "label": "{LABEL}", "counts": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    sys.exit(main())
