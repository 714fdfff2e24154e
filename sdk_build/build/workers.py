"""Artifacts made side by side, in processes that import the toolchains once and live as long as an export.

A native crash of a toolchain ends a worker and not the export.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any, TypeVar

from sdk_build.backends import RUNTIMES
from sdk_build.errors import LoweringError

T = TypeVar("T")
# What a worker needs at most, with the largest of the stored models.
WORKER_BYTES = 2 * 10**9
SILENCED = "sdk_build.build.silenced"
# What to import once for all workers, by package. Not LiteRT's, whose native threads a copy of a process would lack.
PRELOADED = {
    "torch": ("torch.export",),
    "torchao": ("torchao.quantization.pt2e.quantize_pt2e",),
    "coremltools": ("coremltools",),
    "executorch": ("executorch.exir", "executorch.backends.xnnpack.partition.xnnpack_partitioner"),
}


def default_jobs() -> int:
    """The cores that this process may use, and no more workers than the free memory holds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = available_bytes()
    return max(1, cores if free is None else min(cores, free // WORKER_BYTES))


def available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


class Workers:
    """A pool of processes; a context manager.

    All are copies of one that has imported the toolchains, where the system can do that.

    Args:
        jobs: how many.
        runtimes: what they will make.
    """

    def __init__(self, jobs: int, runtimes: Collection[str]) -> None:
        packages = {package for runtime in runtimes for package in RUNTIMES[runtime].packages}
        self.jobs = jobs
        self._preload = [module for name, modules in PRELOADED.items() if name in packages for module in modules]
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def start(self) -> None:
        """Let the imports begin, which take seconds; a pool that is not needed is never started."""
        with self._lock:
            if self._pool is None and "forkserver" in multiprocessing.get_all_start_methods():
                self._context().set_forkserver_preload([SILENCED, *self._preload])
                forkserver.ensure_running()

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Start a call; its function, arguments and result must be picklable."""
        self.start()
        with self._lock:
            self._pool = self._pool or self._open()
            try:
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:  # of an earlier call
                self._pool = self._open()
                return self._pool.submit(function, *arguments)

    def _open(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.jobs, mp_context=self._context(), initializer=set_up)

    def _context(self) -> Any:
        server = "forkserver" in multiprocessing.get_all_start_methods()
        return multiprocessing.get_context("forkserver" if server else "spawn")

    @staticmethod
    def result(future: Future[T], what: str) -> T:
        """The result of a call, or its error.

        Raises:
            LoweringError: the worker died.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise LoweringError(
                f"a worker ended while {what} was made: a toolchain crashed, for this or another model, or memory "
                "ran out; try --jobs 1"
            ) from error


def set_up() -> None:
    """Set a worker up: workers share the cores among them, not their threads, and end when the export ends."""
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """An export that is killed can't tell its workers, which would wait for their next call for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
