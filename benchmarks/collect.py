"""``python -m benchmarks.collect --adb BUNDLE...`` or ``--ios PATH``: fetch records that phones wrote.

Android: bundles are pushed to the demo app's folder, its instrumented benchmark runs over adb, and the records it
wrote are pulled. iOS: the XCTest attaches its records to the result, or writes them to a folder; both are read. A
record counts only if it is about the very bundle that is named (checksum of bundle.json).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.devices import judge, load_devices
from benchmarks.run import print_records
from reference.errors import BadInput
from reference.program import program
from sdk_build.bundle.records import Record, bundle_digest, read_records, write_records
from sdk_build.command import IN_CHECKOUT, exit_with
from sdk_build.errors import BackendUnavailable, BenchmarkFailed

APP = "org.onpar.demo"
RUNNER = f"{APP}/{APP}.LatencyBenchmark"
DEVICE_FOLDER = f"/sdcard/Android/data/{APP}/files"
OUTPUT = Path(__file__).parent / "results" / "phones" if IN_CHECKOUT else Path("phones")


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and collect; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("benchmarks.collect"),
        description=__doc__.splitlines()[0],
        epilog="Exit codes: 0 done, 1 the benchmark failed on the phone, 2 no device, no records or bad input.",
    )
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--adb", action="store_true", help="run on the attached Android phone")
    way.add_argument("--ios", type=Path, metavar="PATH", help="an .xcresult, or a folder with records")
    parser.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", help="default: every bundle in dist")
    parser.add_argument("--serial", help="with --adb: which of several phones")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="where records go")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.adb, a.ios, a.bundles, a.serial, a.output))


def run(adb: bool, ios: Path | None, bundles: list[Path], serial: str | None, output: Path) -> int:
    """The command's body; returns the exit code."""
    paths = bundles or sorted(p.parent for p in Path("dist").glob("[!.]*/bundle.json"))
    if not paths:
        raise BadInput("no bundle in dist; records are about bundles: export some or name them")
    known = digests(paths)
    with tempfile.TemporaryDirectory() as folder:
        files = from_android(paths, serial, Path(folder)) if adb else from_ios(ios or Path(), Path(folder))
        records = accept(files, known)
    by_device: dict[str, list[Record]] = {}
    for record in records:
        by_device.setdefault(record.device.name, []).append(record)
    for name, mine in by_device.items():
        write_records(output / f"{''.join(c if c.isalnum() else '_' for c in name)}.json", mine)
    print_records(records)
    for line in judge(records, load_devices()):
        print(line)
    return 0


def digests(paths: Sequence[Path]) -> dict[str, str]:
    """Checksum of bundle.json by bundle name.

    Raises:
        BadInput: a folder is no bundle.
    """
    for path in paths:
        if not (path / "bundle.json").is_file():
            raise BadInput(f"{path} is no bundle; name folders that sdk_build.export wrote")
    return {path.name: bundle_digest(path) for path in paths}


def accept(files: Sequence[Path], known: Mapping[str, str]) -> list[Record]:
    """Records that are about these very bundles.

    Raises:
        BadInput: there are none; one is damaged, from another version, or about another bundle.
    """
    records = [record for file in files for record in read_records(file)]
    if not records:
        raise BadInput("the phone wrote no records; did its benchmark run?")
    for record in records:
        if record.bundle not in known:
            raise BadInput(f"record is about {record.bundle!r}; named were {', '.join(known)}: name its bundle too")
        if record.bundle_sha256 != known[record.bundle]:
            raise BadInput(
                f"record of {record.bundle} is about another export ({record.bundle_sha256[:12]}, here "
                f"{known[record.bundle][:12]}); push this bundle and measure again"
            )
        if record.device.kind != "phone":
            raise BadInput(f"record of {record.bundle} is from {record.device.name}, no phone; use benchmarks.run")
    return records


def from_android(paths: Sequence[Path], serial: str | None, folder: Path) -> list[Path]:
    """Push bundles, run the instrumented benchmark, pull its records.

    Raises:
        BackendUnavailable: no adb.
        BadInput: no phone, or several and no serial.
        BenchmarkFailed: the app crashed or refused a bundle.
    """
    adb = shutil.which("adb")
    if adb is None:
        raise BackendUnavailable("adb is not installed; apt-get install adb, or Android's platform tools")
    phone = [adb, "-s", choose_phone(_adb([adb, "devices"]), serial)]
    # The app measures every bundle there, and adb would push a bundle into an older folder of its name.
    _adb([*phone, "shell", "rm", "-rf", f"{DEVICE_FOLDER}/records", f"{DEVICE_FOLDER}/bundles"])
    for path in paths:
        _adb([*phone, "push", str(path), f"{DEVICE_FOLDER}/bundles/{path.name}"])
    said = _adb([*phone, "shell", "am", "instrument", "-w", RUNNER])
    reason = failure(said)
    if reason:
        raise BenchmarkFailed(
            f"the benchmark failed on the phone ({reason}); install a debug build of the demo app, verify the bundles"
        )
    _adb([*phone, "pull", f"{DEVICE_FOLDER}/records", str(folder)])
    return sorted(folder.rglob("*.json"))


def failure(said: str) -> str:
    """Why ``am instrument`` failed, from what it printed; empty if it did not."""
    if "INSTRUMENTATION_CODE: -1" in said:  # Activity.RESULT_OK
        return ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for sign in ("FAILURES: ", "longMsg=", "shortMsg=", "Error=", "INSTRUMENTATION_FAILED: "):
        for line in lines:
            if sign in line:
                return line.split(sign, 1)[1]
    return lines[-1] if lines else "it said nothing"


def choose_phone(listing: str, serial: str | None) -> str:
    """The phone to use, from the output of ``adb devices``.

    Raises:
        BadInput: none is attached and ready, or several are and none was named.
    """
    rows = [line.split() for line in listing.splitlines()[1:] if line.strip() and not line.startswith("*")]
    ready = [row[0] for row in rows if len(row) > 1 and row[1] == "device"]
    others = [f"{row[0]} is {row[1]}" for row in rows if len(row) > 1 and row[1] != "device"]
    if serial is not None:
        if serial not in ready:
            raise BadInput(f"--serial is {serial!r}; attached and ready: {', '.join(ready) or 'none'}")
        return serial
    if not ready:
        state = f" ({', '.join(others)})" if others else ""
        raise BadInput(f"adb sees no phone{state}; attach one, allow USB debugging, and check with adb devices")
    if len(ready) > 1:
        raise BadInput(f"adb sees {len(ready)} phones: {', '.join(ready)}; choose one with --serial")
    return ready[0]


def _adb(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise BadInput(f"adb {command[-1] if len(command) < 4 else command[3]} failed: {last}")
    return done.stdout


def from_ios(path: Path, folder: Path) -> list[Path]:
    """Records in a folder, or attached to an .xcresult.

    Raises:
        BadInput: nothing there, or an .xcresult without Xcode to read it.
    """
    if not path.is_dir():
        raise BadInput(f"no folder {path}; give an .xcresult or the folder that the test wrote its records to")
    if path.suffix == ".xcresult":
        _export_attachments(path, folder)
        path = folder
    files = [f for f in sorted(path.rglob("*.json")) if f.name != "manifest.json"]
    if not files:
        raise BadInput(f"no record in {path}; run the test LatencyBenchmark on a phone first")
    return files


def _export_attachments(path: Path, folder: Path) -> None:
    """Attachments of a test result, with Xcode's own tool."""
    tool = shutil.which("xcrun")
    if tool is None:
        raise BadInput(f"{path.name} can be read on a Mac with Xcode only; there, or give the folder with its records")
    command = [tool, "xcresulttool", "export", "attachments", "--path", str(path), "--output-path", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadInput(f"xcresulttool could not read {path.name}: {done.stderr.strip() or done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
