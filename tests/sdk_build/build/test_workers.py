"""Workers: results, errors and deaths of other processes."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdk_build.backends import TARGETS
from sdk_build.build import side_by_side, workers
from sdk_build.build.side_by_side import families, make_artifacts
from sdk_build.build.tuning import PLAIN
from sdk_build.build.workers import Workers, default_jobs
from sdk_build.errors import LoweringError, ParityError


@pytest.fixture(scope="module")
def pool():
    """Copies of a process that has imported nothing: the calls below need no toolchain."""
    with Workers(2, ()) as made:
        yield made


def die(kind):
    os.kill(os.getpid(), kind)


def refuse(text):
    raise ParityError(text)


def test_results_and_errors_come_back(pool, refused):
    numbers = [pool.submit(pow, base, 2) for base in range(5)]
    assert [pool.result(number, "x") for number in numbers] == [0, 1, 4, 9, 16]
    assert pool.result(pool.submit(os.getpid), "x") != os.getpid()
    with refused(ParityError, "31 dB"):
        pool.result(pool.submit(refuse, "31 dB"), "x")


def test_a_dead_worker_is_one_error_and_the_next_call_works(pool, refused):
    with refused(LoweringError, "a worker ended while a thing was made", "--jobs 1"):
        pool.result(pool.submit(die, signal.SIGKILL), "a thing")
    assert pool.result(pool.submit(pow, 2, 3), "x") == 8


WAITING = """
import sys, threading
from sdk_build.build.workers import Workers
def wait(pipe):
    with open(pipe, "w") as opened:
        print("working", file=opened, flush=True)
        threading.Event().wait()
if __name__ == "__main__":
    with Workers(1, ()) as pool:
        pool.submit(wait, sys.argv[1]).result()
"""


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_an_export_that_is_killed(kind, tmp_path):
    script, pipe = tmp_path / "waiting.py", tmp_path / "pipe"
    script.write_text(WAITING)
    os.mkfifo(pipe)
    where = os.environ | {"PYTHONPATH": str(Path(workers.__file__).parents[2])}
    with subprocess.Popen([sys.executable, script, pipe], env=where) as export, pipe.open() as worker:
        assert worker.readline() == "working\n"
        export.send_signal(kind)
        ready, _, _ = select.select([worker], [], [], 60)
        assert ready and worker.read() == "", "the pipe has an end when the worker has one"


def test_as_many_as_the_memory_holds(monkeypatch):
    monkeypatch.setattr(workers, "available_bytes", lambda: 1)
    assert default_jobs() == 1
    monkeypatch.setattr(workers, "available_bytes", lambda: None)
    assert default_jobs() >= 1


def test_what_shares_a_conversion_is_made_together():
    assert families(TARGETS["ios"]) == [["coreml", "executorch_coreml"], ["executorch"]]
    assert families(["litert"]) == [["litert"]]


def pretend(reference, runtime, *_):
    return SimpleNamespace(runtime=runtime, process=os.getpid())


@pytest.mark.parametrize("folder", ["", "/somewhere"])
def test_side_by_side_and_in_order(folder, pool, monkeypatch, tmp_path):
    """A model from a folder is made here: a worker could not import its code."""
    monkeypatch.setattr(side_by_side, "make_artifact", pretend)
    monkeypatch.setattr(side_by_side, "make_group", group)
    reference = SimpleNamespace(spec=SimpleNamespace(name="any", folder=folder))
    steps, done = [], []
    runtimes = list(TARGETS["ios"])
    found = make_artifacts(reference, runtimes, "fp16", tmp_path, PLAIN, None, pool, steps.append, done.append)
    assert list(found) == runtimes and {a.runtime for a in done} == set(runtimes)
    assert all((a.process == os.getpid()) == bool(folder) for a in done)
    assert all(step.startswith("any: ") for step in steps)


def group(calls):
    return [pretend(*arguments) for arguments in calls]
