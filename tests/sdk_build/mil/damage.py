"""``python -m tests.sdk_build.mil.damage [MODEL...]``: thousands of random damages to Core ML files, each one opened.

Every copy is truncated, flipped, spliced or misstated somewhere and handed to the commands ``inspect``, ``run`` and
``trace``. What must come of it: one line that says what is wrong and exit code 2, or a model that runs. Never a
traceback, a process that ends, one that hangs, or memory above four times the file (and what an allocator rounds up).

Exit codes: 0 nothing was found, 1 something was, 2 wrong use.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import select
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BATCH = 100  # damages that one child process takes
HANGS_S = 60.0
MEMORY_FACTOR = 4
ALLOWANCE_BYTES = 4 << 20  # arenas of the allocator, and what a first error message imports
VERBS = (["inspect", "--json"], ["run", "--random", "1", "--json"], ["trace", "--random", "1", "--json"])


def truncate(data: bytearray, rng: random.Random) -> None:
    """Ends somewhere."""
    del data[rng.randrange(len(data)) :]


def flip(data: bytearray, rng: random.Random) -> None:
    """One to eight bits."""
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    """A byte, or up to 16 of one value."""
    place, length = rng.randrange(len(data)), rng.choice((1, 1, 4, 8, 16))
    length = len(data[place : place + length])
    data[place : place + length] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))]) * length


def insert(data: bytearray, rng: random.Random) -> None:
    """Up to 16 random bytes between the others."""
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.randint(1, 16))


def splice(data: bytearray, rng: random.Random) -> None:
    """A piece of the file in another place, instead of what is there or between it."""
    start, place = rng.randrange(len(data)), rng.randrange(len(data))
    piece = data[start : start + rng.randint(1, 256)]
    data[place : place + rng.choice((0, len(piece)))] = piece


def misstate(data: bytearray, rng: random.Random) -> None:
    """One field of the program, in a file that is as well-formed as before; what is no program is flipped."""
    from google.protobuf.message import DecodeError

    import sdk_build.mil.files.schema as schema

    try:
        model = schema.message_class("Model").FromString(bytes(data))
    except DecodeError:
        return flip(data, rng)
    places = list(_fields(model))
    message, field = rng.choice(places) if places else (model, None)
    if field is None:
        return flip(data, rng)
    _misstated(message, field, rng)
    data[:] = model.SerializeToString()
    return None


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    for field, value in message.ListFields():
        yield message, field
        if field.message_type is not None:
            for part in _parts(field, value):
                yield from _fields(part)


def _parts(field: Any, value: Any) -> list[Any]:
    if hasattr(value, "ListFields"):
        return [value]
    if field.message_type.GetOptions().map_entry:
        return [part for part in value.values() if hasattr(part, "ListFields")]
    return list(value)


def _misstated(message: Any, field: Any, rng: random.Random) -> None:
    value = getattr(message, field.name)
    if field.message_type is not None or rng.random() < 0.2:
        if field.message_type is None or not hasattr(value, "insert") or len(value) < 2 or rng.random() < 0.5:
            return message.ClearField(field.name)
        if rng.random() < 0.5:
            del value[rng.randrange(len(value))]
        else:
            value.add().CopyFrom(rng.choice(value))
        return None
    is_list = hasattr(value, "insert")
    old = rng.choice(value) if is_list else value
    if isinstance(old, (str, bytes)):
        new: Any = old[: len(old) // 2]
    elif isinstance(old, float):
        new = rng.choice([0.0, -1.0, 1e30, float("nan"), float("inf")])
    elif isinstance(old, bool):
        new = not old
    else:
        new = rng.choice([0, 1, -1, old + 1, old * 2, 1 << 20, (1 << 31) - 1, 1 << 40, -(1 << 40)])
    with contextlib.suppress(ValueError):  # out of the field's own range
        if is_list:
            value[rng.randrange(len(value))] = new
        else:
            setattr(message, field.name, new)
    return None


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(truncate, flip, overwrite, insert, splice),
    *(misstate, misstate, misstate),
)


def damage(path: Path, rng: random.Random) -> str:
    """Damages one file of a package, most often the program; returns what was done."""
    file = path
    if path.is_dir():
        files = sorted(part for part in path.rglob("*") if part.is_file() and part.stat().st_size)
        file = rng.choices(files, [4 if part.suffix == ".mlmodel" else 1 for part in files])[0]
    data = bytearray(file.read_bytes())
    kind = rng.choice(DAMAGES)
    kind(data, rng)
    file.write_bytes(data)
    return f"{kind.__name__} {file.name}"


def opened(path: Path) -> dict[str, Any]:
    """What the commands make of a file: ``outcome``, ``message``, and ``fault`` where they must not."""
    from sdk_build.mil.__main__ import main

    for verb, *options in VERBS:
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main([verb, str(path), *options])
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            return {"outcome": "traceback", "message": f"{verb}: {error!r:.300}", "fault": True}
        message = err.getvalue()
        if code:
            fault = code != 2 or message.count("\n") != 1 or bool(out.getvalue())
            return {"outcome": "refused", "message": f"{code}: {message[:300]}", "fault": fault}
        try:
            json.loads(out.getvalue(), parse_constant=lambda word: 1 / 0)
        except (ValueError, ArithmeticError):
            return {"outcome": "no JSON", "message": f"{verb}: {out.getvalue()[:300]}", "fault": True}
    return {"outcome": "runs", "message": "", "fault": False}


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _one(model: Path, folder: Path, seed: int) -> dict[str, Any]:
    copy = folder / f"damaged{model.suffix}"
    shutil.rmtree(copy, ignore_errors=True)
    copy.unlink(missing_ok=True)
    (shutil.copytree if model.is_dir() else shutil.copy)(model, copy)
    what = damage(copy, random.Random(seed)) if seed >= 0 else "nothing"
    size = sum(part.stat().st_size for part in ([copy] if copy.is_file() else copy.rglob("*")) if part.is_file())
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    entry = opened(copy)
    more = max(0, _status("VmHWM") - before)
    if more > MEMORY_FACTOR * size + ALLOWANCE_BYTES and seed >= 0:
        entry |= {"fault": True, "outcome": "memory"}
    return {"model": model.name, "seed": seed, "damage": what, "size": size, "more": more, **entry}


def _warm_up(models: list[Path], folder: Path) -> None:
    """What is imported and read at the first use, and for torch's first error, doesn't count as a file's memory."""
    import torch

    for model in models:
        _one(model, folder, -1)
    with contextlib.suppress(RuntimeError):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def _child(write: int, models: list[Path], seeds: range) -> None:
    with tempfile.TemporaryDirectory(prefix="onpar-damage-") as folder, os.fdopen(write, "w") as pipe:
        _warm_up(models, Path(folder))
        for seed in seeds:
            pipe.write(json.dumps(_one(models[seed % len(models)], Path(folder), seed)) + "\n")
            pipe.flush()
    os._exit(0)


def batch(models: list[Path], seeds: range) -> Iterator[dict[str, Any]]:
    """The entries of some damages, each worked in a child process, which may die or hang."""
    while seeds:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _child(write, models, seeds)
        os.close(write)
        ended = ""
        with os.fdopen(read) as pipe:
            while not ended:
                if not select.select([pipe], [], [], HANGS_S)[0]:
                    os.kill(child, signal.SIGKILL)
                    ended = "hangs"
                elif line := pipe.readline():
                    seeds = seeds[1:]
                    yield json.loads(line)
                else:
                    ended = "the process ends"
        status = os.waitpid(child, 0)[1]
        if seeds:
            model = models[seeds[0] % len(models)].name
            about = {"outcome": ended, "message": f"status {status}", "fault": True, "more": 0, "size": 0}
            yield {"model": model, "seed": seeds[0], "damage": "?", **about}
            seeds = seeds[1:]


def run(models: list[Path], seeds: range, results: Path | None) -> int:
    """Damages in turn, prints what was found; returns the exit code."""
    counts: Counter[str] = Counter()
    faults = []
    most = 0
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(results.open("a")) if results else None
        for start in range(0, len(seeds), BATCH):
            for entry in batch(models, seeds[start : start + BATCH]):
                counts[entry["outcome"]] += 1
                most = max(most, entry["more"] - MEMORY_FACTOR * entry["size"])
                faults += [entry] if entry["fault"] else []
                if log:
                    log.write(json.dumps(entry) + "\n")
    for entry in faults[:50]:
        print(f"FAULT {entry['model']} seed {entry['seed']}, {entry['damage']}: {entry['outcome']}, {entry['message']}")
    print(f"{sum(counts.values())} damages: " + ", ".join(f"{name} {n}" for name, n in counts.most_common()))
    print(f"memory above {MEMORY_FACTOR} times the file: at most {max(0, most) / 1e6:.1f} MB; faults: {len(faults)}")
    return 1 if faults or not counts else 0


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sdk_build.mil.damage", description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="default: the small ones of the examples")
    parser.add_argument("--count", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first damage; the next has the next")
    parser.add_argument("--results", type=Path, metavar="FILE", help="append a JSON line for each")
    a = parser.parse_args(arguments)
    lacking = [str(model) for model in a.models if not model.exists()]
    if lacking or a.count < 1 or a.seed < 0:
        print(f"damage: no {', '.join(lacking) or 'count and seed of 0 or more'}", file=sys.stderr)
        return 2
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="onpar-damage-") as folder:
        return run(a.models or _examples(Path(folder)), range(a.seed, a.seed + a.count), a.results)


def _examples(folder: Path) -> list[Path]:
    from sdk_build.mil.examples import MAKERS
    from sdk_build.quiet import quiet

    with quiet():
        for name in ("lstm", "attention", "functions", "pipeline", "old"):
            MAKERS[name](folder)
    return sorted(folder.glob("*.ml*"))


if __name__ == "__main__":
    sys.exit(main())
