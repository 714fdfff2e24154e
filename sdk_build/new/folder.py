"""From a network to a model's folder that can be exported: the whole story is :func:`new_model`, top to bottom."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reference.errors import BadInput
from reference.golden import TENSOR_FILE, Tensors, read_inputs, write_golden
from reference.model_folder import FILE
from reference.registry import MODELS, NAME, build_network
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec
from reference.tasks import TASKS, get_task
from reference.tasks.base import Task
from sdk_build.backends.signature import example_inputs
from sdk_build.new.cases import Given, check_raw, describe_inputs, parse_inputs, store_raw
from sdk_build.new.network import check_export, describe_outputs, run_once
from sdk_build.new.page import model_page
from sdk_build.new.sources import Source, find_source
from sdk_build.new.weights import check_finite, load_into, load_state

CLASSIFIER, RAW = "image_classification", "tensors"
ROW = 2  # dimensions of what a classifier gives: (1, classes)


@dataclass(frozen=True)
class Wanted:
    """What a user says about a network; what can be found out needs no saying.

    Attributes:
        network: ``timm:NAME``, ``torchvision:NAME``, ``package.module:function`` or ``file.py:function``.
        program: a file of ``torch.export.save`` instead.
        inputs: for each golden case its files, as ``NAME=FILE`` or, where there is one input, as a file alone.
        weights: .safetensors or a saved state dict; None: as the function makes the network.
        task: one of :data:`reference.tasks.TASKS` that is for any network; None: found out.
        size: (height, width) of the network's picture in pixels.
        mean, std: per channel, of pictures in [0, 1].
        labels: a file with a class per line.
        units: by output, what its values mean, where that can't be seen (:attr:`reference.tasks.base.Task.forms`).
    """

    network: str | None = None
    program: Path | None = None
    inputs: Sequence[Sequence[str]] = ()
    weights: Path | None = None
    task: str | None = None
    size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels: Path | None = None
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NewModel:
    """A folder that was written.

    Attributes:
        notes: what was taken for granted.
    """

    folder: Path
    spec: ModelSpec
    parameters: int
    notes: tuple[str, ...] = field(default=())


def new_model(folder: Path, wanted: Wanted) -> NewModel:
    """Write a model's folder: model.py with its SPEC, weights, golden files. It appears whole or not at all.

    Raises:
        BadInput, WeightsError: something given can't be used; one line says what to do.
    """
    check_place(folder)
    labels = read_labels(wanted.labels) if wanted.labels else ()
    source = find_source(wanted.network, wanted.program, len(labels))
    draft = folder.parent / f".onpar-new-{os.getpid()}" / folder.name  # a model's folder must bear its name
    try:
        (draft / "golden").mkdir(parents=True)
        made = _fill(draft, source, wanted, labels)
        os.replace(draft, folder)
    except OSError as error:
        raise BadInput(f"can't write {folder} ({error.strerror or error}); choose a folder that can be made") from error
    finally:
        shutil.rmtree(draft.parent, ignore_errors=True)
    return dataclasses.replace(made, folder=folder, spec=dataclasses.replace(made.spec, folder=str(folder.resolve())))


def check_place(folder: Path) -> None:
    """Refuse a folder that is there, or whose name no model can have.

    Raises:
        BadInput: says which.
    """
    if not NAME.fullmatch(folder.name):
        raise BadInput(
            f"folder is {folder.name!r}; allowed: a letter, then letters, digits, - and _ (its model's name)"
        )
    if folder.name in MODELS:
        raise BadInput(f"folder is {folder.name!r}, the name of a built-in model; choose another")
    if folder.exists():
        raise BadInput(f"{folder} exists; choose another folder, or remove it")


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names, one a line.

    Raises:
        BadInput: the file can't be read, is empty, or names a class twice.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"can't read labels {path} ({error}); give a UTF-8 text with a class per line") from error
    labels = tuple(line for line in lines if line)
    twice = [label for label in labels if labels.count(label) > 1] if len(labels) < 5000 else []
    if not labels or twice:
        what = f"names {twice[0]!r} twice" if twice else "is empty"
        raise BadInput(f"{path} {what}; give a text with a class per line")
    return labels


def _fill(draft: Path, source: Source, wanted: Wanted, labels: tuple[str, ...]) -> NewModel:
    """Everything that belongs into a model's folder."""
    import torch
    from safetensors.torch import save_file

    from reference.networks.adapter import Adapter

    for name, file in source.files.items():
        shutil.copyfile(file, draft / name)
    (draft / FILE).write_text(source.text, encoding="utf-8")
    notes: list[str] = []
    blank = ModelSpec(  # the folder's own code is needed before anything can be said about it
        draft.name, RAW, "", source.function, (TensorSpec("input", (1,), "any", "value"),),
        (TensorSpec("output", (1,), "any", "value"),), None, PostprocessSpec("RawTensors"), folder=str(draft),
    )  # fmt: skip
    network = build_network(blank)
    if wanted.weights is not None:
        load_into(network, load_state(wanted.weights), wanted.weights)
    elif wanted.program is None:
        notes.append(f"weights are as {source.origin} makes them; give --weights for trained ones")
    check_finite(network, str(wanted.weights or source.origin))
    given = parse_inputs(wanted.inputs, network)
    inputs, preprocess = describe_inputs(given, picture_of(wanted, source))
    blank = dataclasses.replace(blank, inputs=inputs, outputs=(TensorSpec("output_", (1,), "any", "value"),),
                                preprocess=preprocess)  # fmt: skip
    cases = _store_cases(given, blank, draft / "golden")
    seen = [_as_network_sees(case, preprocess, inputs[0].name) for case in cases]
    where = (draft / FILE).resolve()
    answers = [run_once(network, case, where) for case in seen]
    found = describe_outputs(answers, [t.name for t in inputs])
    spec, more = _describe(blank, found, wanted, labels, source)
    (draft / FILE).write_text(model_page(source.text, spec), encoding="utf-8")
    spec = dataclasses.replace(spec, folder=str(draft))
    save_file({name: t.detach().clone().contiguous() for name, t in network.state_dict().items()},
              draft / "weights.safetensors")  # fmt: skip
    with torch.no_grad():
        check_export(Adapter(network, spec).eval(), example_inputs(spec), where)
    write_golden(spec, draft.parent)
    return NewModel(draft, spec, sum(p.numel() for p in network.parameters()), (*notes, *more))


def picture_of(wanted: Wanted, source: Source) -> PreprocessSpec | None:
    """How pictures become the network's input: as said, else as the network's package knows; None if nobody does."""
    known = source.picture
    size = wanted.size or (tuple(map(int, known["size"])) if "size" in known else None)
    if size is None:
        return None
    mean = wanted.mean or known.get("mean", (0.0, 0.0, 0.0))
    std = wanted.std or known.get("std", (1.0, 1.0, 1.0))
    return PreprocessSpec((size[0], size[1]), mean=tuple(mean), std=tuple(std))


def _store_cases(given: Given, spec: ModelSpec, folder: Path) -> list[Tensors]:
    """Copies the raw files, and gives the tensors that they become."""
    stored = []
    for number, case in enumerate(given.cases):
        raws: dict[str, Path] = {}
        for t in spec.inputs:
            picture = spec.preprocess if t is spec.input else None
            check_raw(case[t.name], t, picture is not None)
            stem = "input" if len(spec.inputs) == 1 else t.name
            raws[t.name] = folder / f"{stem}_{number}{'.png' if picture else TENSOR_FILE}"
            store_raw(case[t.name], raws[t.name], picture)
        stored.append(read_inputs(raws, spec))
    return stored


def _as_network_sees(inputs: Tensors, preprocess: PreprocessSpec | None, first: str) -> Tensors:
    """Inputs behind the normalisation that the exported graph begins with."""
    import numpy as np

    if preprocess is None:
        return inputs
    mean, std = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (preprocess.mean, preprocess.std))
    return inputs | {first: (inputs[first] - mean) / std}


def _describe(
    blank: ModelSpec, found: tuple[TensorSpec, ...], wanted: Wanted, labels: tuple[str, ...], source: Source
) -> tuple[ModelSpec, list[str]]:
    """The spec, and what was taken for granted in it."""
    notes = []
    name = wanted.task or guess_task(blank, found)
    if name not in TASKS or TASKS[name].signature is None:
        allowed = [key for key, each in TASKS.items() if each.signature is not None]
        raise BadInput(f"task is {name!r}; allowed for a network of your own: {', '.join(allowed)}")
    if wanted.task is None:
        notes.append(f"the task is {name}; --task says another")
    signature = TASKS[name].signature
    assert signature is not None
    outputs = with_units(TASKS[name], signature(found, labels), wanted.units)
    if name != RAW and blank.preprocess is None:
        raise BadInput(f"{name} looks at a picture, and the golden inputs are arrays; give pictures and --size")
    classes = labels or TASKS[name].unnamed_labels(outputs)
    if classes and not labels:
        notes.append(f"classes have numbers for names; give --labels with {len(classes)} lines")
    if labels and not (TASKS[name].labelled or TASKS[name].unnamed_labels(outputs)):
        raise BadInput(f"--labels is of no use to {name}; leave it out")
    spec = dataclasses.replace(
        blank, task=name, outputs=outputs, labels=classes, description=f"{source.origin}, exported by OnPar.",
        postprocess=PostprocessSpec(TASKS[name].result.__name__, TASKS[name].threshold),
    )  # fmt: skip
    get_task(spec)
    return spec, notes


def with_units(task: Task, outputs: tuple[TensorSpec, ...], units: Mapping[str, str]) -> tuple[TensorSpec, ...]:
    """The outputs with what a user says about their values.

    Raises:
        BadInput: something that can't be seen was not said, or can't be meant.
    """
    asked = {outputs[i].name: forms for i, forms in task.forms.items() if outputs[i].unit in forms}
    for name, unit in units.items():
        if unit not in asked.get(name, ()):
            allowed = "; ".join(f"{n}={'|'.join(forms)}" for n, forms in asked.items()) or "none for this network"
            raise BadInput(f"--unit is {name}={unit}; allowed: {allowed}")
    missing = [f"--unit {name}={'|'.join(forms)}" for name, forms in asked.items() if name not in units]
    if missing:
        raise BadInput(f"{task.name} must know what outputs mean, which can't be seen: give {', '.join(missing)}")
    return tuple(dataclasses.replace(t, unit=units.get(t.name, t.unit)) for t in outputs)


def guess_task(spec: ModelSpec, outputs: Sequence[TensorSpec]) -> str:
    """A classifier if one picture gives one row of numbers, else tensors without a meaning."""
    alone = spec.preprocess is not None and len(spec.inputs) == 1 and len(outputs) == 1
    return CLASSIFIER if alone and len(outputs[0].shape) == ROW and outputs[0].shape[1] > 1 else RAW


def summary(made: NewModel) -> Mapping[str, str]:
    """What was found out, by name, for people."""
    spec = made.spec
    shape = {t.name: f"{t.dtype} {'x'.join(map(str, t.shape)) or 'one number'}" for t in (*spec.inputs, *spec.outputs)}
    return {
        "network": f"{spec.description.removesuffix(', exported by OnPar.')}, {made.parameters / 1e6:.2f} M parameters",
        "task": spec.task + (f", {len(spec.labels)} classes" if spec.labels else ""),
        **{f"input {t.name}": shape[t.name] for t in spec.inputs},
        **{f"output {t.name}": shape[t.name] for t in spec.outputs},
    }
