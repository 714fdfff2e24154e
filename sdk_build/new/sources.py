"""Where a network comes from: a package, a function of the user's, or a traced program; as the text of a model.py."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput

if TYPE_CHECKING:
    from torch.export import ExportedProgram

PROGRAM_FILE = "program.pt2"
FUNCTION = "network"  # what a written model.py calls it
FORMS = "timm:NAME, torchvision:NAME, package.module:function or file.py:function"


@dataclass(frozen=True)
class Source:
    """A network as the beginning of a model.py.

    Attributes:
        text: Python that defines :attr:`function`.
        function: makes the network, without arguments.
        files: what must lie beside model.py, by name.
        origin: what was asked for.
        picture: side, mean and std that a package knows for the network's pictures; empty where it knows none.
    """

    text: str
    function: str
    origin: str
    files: Mapping[str, Path]
    picture: Mapping[str, tuple[float, ...]]


def find_source(network: str | None, program: Path | None, classes: int) -> Source:
    """What ``--network`` or ``--program`` names.

    Args:
        classes: number of labels; 0: as many classes as the package makes by itself.

    Raises:
        BadInput: it names nothing that is there.
    """
    if (network is None) == (program is None):
        raise BadInput(f"give either --network ({FORMS}) or --program net.pt2")
    if program is not None:
        return _from_program(program)
    assert network is not None
    place, _, name = network.rpartition(":")
    if not place or not re.fullmatch(r"[\w.\-]+", name):
        raise BadInput(f"--network is {network!r}; allowed: {FORMS}")
    if place.endswith(".py"):
        return _from_file(Path(place), name)
    return ZOOS[place](name, classes) if place in ZOOS else _from_package(place, name)


def _from_program(path: Path) -> Source:
    from reference.networks.program import load_program

    program = load_program(path)
    text = f'''"""A program that torch.export saved, as OnPar exports it."""

from pathlib import Path

from reference.networks.adapter import Traced
from reference.networks.program import load_program


def {FUNCTION}():
    """The program in {PROGRAM_FILE}."""
    return Traced(load_program(Path(__file__).with_name("{PROGRAM_FILE}")).module())
'''
    return Source(text, FUNCTION, path.name, {PROGRAM_FILE: path}, _picture_of(program))


def _picture_of(program: ExportedProgram) -> dict[str, tuple[float, ...]]:
    """The sides of a program's only colour picture; empty where it has none or several."""
    names = program.graph_signature.user_inputs
    shapes = [tuple(node.meta["val"].shape) for node in program.graph.nodes if node.name in names]
    pictures = [shape for shape in shapes if len(shape) == 4 and shape[:2] == (1, 3)]
    return {"size": pictures[0][2:]} if len(pictures) == 1 else {}


def _from_file(path: Path, name: str) -> Source:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"can't read {path} ({error}); --network takes file.py:function") from error
    return Source(text.rstrip() + "\n", name, f"{path.name}:{name}", {}, {})


def _from_package(module: str, name: str) -> Source:
    text = f'''"""{name} of {module}, as OnPar exports it."""

from {module} import {name}


def {FUNCTION}():
    """The network, with the weights that {name} gives it."""
    return {name}()
'''
    return Source(text, FUNCTION, f"{module}:{name}", {}, {})


def _from_timm(name: str, classes: int) -> Source:
    timm = _package("timm")
    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('_')[0]}*")[:5]
        raise BadInput(f"timm has no network {name!r}" + (f"; it has {', '.join(close)}, ..." if close else ""))
    known = timm.get_pretrained_cfg(name)
    picture: dict[str, tuple[float, ...]] = {}
    if known is not None:
        picture = {"size": tuple(known.input_size[1:]), "mean": tuple(known.mean), "std": tuple(known.std)}
    more = f", num_classes={classes}" if classes else ""
    text = f'''"""{name} of timm, as OnPar exports it."""

import timm


def {FUNCTION}():
    """The network; its weights are in weights.safetensors."""
    return timm.create_model("{name}", pretrained=False{more})
'''
    return Source(text, FUNCTION, f"timm:{name}", {}, picture)


def _from_torchvision(name: str, classes: int) -> Source:
    torchvision = _package("torchvision")
    if name not in torchvision.models.list_models():
        raise BadInput(f"torchvision has no network {name!r}; torchvision.models.list_models() names them")
    more = f", num_classes={classes}" if classes else ""
    text = f'''"""{name} of torchvision, as OnPar exports it."""

import torchvision


def {FUNCTION}():
    """The network; its weights are in weights.safetensors."""
    return torchvision.models.get_model("{name}", weights=None{more})
'''
    imagenet = {"size": (224.0, 224.0), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return Source(text, FUNCTION, f"torchvision:{name}", {}, imagenet)


def _package(name: str) -> Any:
    import importlib

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise BadInput(f"{name} is not installed; pip install {name}") from error
        # The usual cause is a torchvision for another torch, a CPU and a CUDA build side by side for instance.
        advice = f"install {name} and torchvision from where torch {metadata.version('torch')} came from"
        raise BadInput(f"{name} is installed and can't be imported ({reason}); {advice}") from error


ZOOS: dict[str, Callable[[str, int], Source]] = {"timm": _from_timm, "torchvision": _from_torchvision}
