"""What is asked of a bundle, what comes back, and what a task must say about showing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.inputs.preprocess import Box, Region
from reference.pipelines.video import Verdict
from reference.spec import ModelSpec
from reference.tasks import decode
from reference.tasks.base import Result
from sdk_build.backends import execution_name
from sdk_build.bundle.files import Bundle, choose_runtime
from sdk_build.predict.depth_options import DepthOptions
from sdk_build.predict.faces import DEFAULT, FaceOptions, Helpers
from sdk_build.proof.sandbox import run_artifact

Picture = NDArray[np.uint8]
# An option such as --detector and the folder that it was given.
GivenBundles = Mapping[str, Path]


@dataclass(frozen=True)
class Prediction:
    """One file's results: several faces, or one class or solid.

    Attributes:
        picture: the input as read, for drawing; of a depth map only what the network saw.
        photo: the picture that belongs to a depth map, and the box of the object on it in pixels.
    """

    file: Path
    results: tuple[Result, ...]
    picture: NDArray[Any]
    runtime: str
    photo: tuple[NDArray[np.uint8], tuple[float, float, float, float]] | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry of ``predict --json``."""
        return {"file": str(self.file), "runtime": self.runtime, "results": [r.to_json() for r in self.results]}


@dataclass(frozen=True)
class FrameResult:
    """One frame's result.

    Attributes:
        time_ms: since the first frame, by the file's own times.
        results: one, or a face each.
        verdict: what counts, for a classifier; None for other models, whose frames stand for themselves.
        of_faces: the results are faces, of which there may be none.
    """

    number: int
    time_ms: float
    picture: Picture
    results: tuple[Result, ...]
    verdict: Verdict | None
    of_faces: bool = False

    def to_json(self) -> dict[str, Any]:
        """The entry of ``predict --json``."""
        document: dict[str, Any] = {"frame": self.number, "time_ms": round(self.time_ms, 3)}
        if self.of_faces:
            document["results"] = [result.to_json() for result in self.results]
        else:
            document |= self.results[0].to_json()
        if self.verdict is not None:
            document |= {"status": self.verdict.status, "shown_label": self.verdict.label}
        return document


@dataclass(frozen=True)
class Request:
    """Raw files and what is to be done with them.

    Attributes:
        runtime: the one to run on, which the bundle has.
        box: part of the picture to look at, in pixels.
        helpers: bundles that work with this one.
        depth: what was said about depth maps.
        faces: how faces are looked for and followed.
    """

    bundle: Bundle
    files: Sequence[Path]
    runtime: str
    box: Box | None = None
    helpers: Helpers = field(default_factory=Helpers)
    depth: DepthOptions = field(default_factory=DepthOptions)
    faces: FaceOptions = DEFAULT

    @property
    def spec(self) -> ModelSpec:
        return self.bundle.manifest.spec

    @property
    def artifact(self) -> Path:
        return choose_runtime(self.bundle, self.runtime)[1]

    def run(self, inputs: Sequence[tuple[NDArray[np.float32], Region]]) -> list[Result]:
        """Typed results of input tensors with the regions that they show; the artifact runs in a child process.

        Raises:
            ArtifactCrashed: the runtime died.
        """
        return run_inputs(self.spec, self.runtime, self.artifact, inputs)

    def answer(self, grouped: Iterable[tuple[tuple[Result, ...], NDArray[Any]]]) -> list[Prediction]:
        """Predictions from the results and the picture of each file."""
        name = execution_name(self.runtime)
        return [
            Prediction(file, results, picture, name)
            for file, (results, picture) in zip(self.files, grouped, strict=True)
        ]


@dataclass(frozen=True)
class Clip:
    """A video and what counts in it.

    Attributes:
        pictures: milliseconds since the first frame, and the frame.
        frames: how many frames in a row must agree before a class counts.
        unconfirmed: ``suppress`` or ``mark`` what does not count.
    """

    pictures: Iterable[tuple[float, Picture]]
    frames: int
    unconfirmed: str


def run_inputs(
    spec: ModelSpec, runtime: str, artifact: Path, inputs: Sequence[tuple[NDArray[np.float32], Region]]
) -> list[Result]:
    """Typed results of input tensors with the regions that they show.

    Raises:
        ArtifactCrashed: the runtime died.
    """
    if not inputs:
        return []
    outputs = run_artifact(runtime, artifact, spec, [{spec.input.name: tensor} for tensor, _ in inputs])
    return [decode(out, spec, region) for out, (_, region) in zip(outputs, inputs, strict=True)]


def predict_each(request: Request) -> list[Prediction]:
    """One result for each raw file, or for the box of each.

    Raises:
        BadInput: a file or the box can't be used.
        ArtifactCrashed: the runtime died.
    """
    from reference.golden import read_input

    read = [read_input(file, request.spec, request.box) for file in request.files]
    results = request.run([(tensor, region) for tensor, region, _ in read])
    return request.answer(((result,), picture) for result, (_, _, picture) in zip(results, read, strict=True))


def results_of_frames(request: Request, clip: Clip) -> Iterator[tuple[int, float, Picture, Result]]:
    """Number, milliseconds, picture and result of each frame; the artifact is loaded once, in a child process."""
    from reference.inputs.preprocess import preprocess_picture
    from sdk_build.proof.sandbox import ArtifactProcess

    spec = request.spec
    with ArtifactProcess(request.runtime, request.artifact, spec) as process:
        for number, (time_ms, picture) in enumerate(clip.pictures):
            tensor, region = preprocess_picture(picture, spec.sampling)
            yield number, time_ms, picture, decode(process.run({spec.input.name: tensor}), spec, region)


def predict_frames(request: Request, clip: Clip) -> Iterator[FrameResult]:
    """Frame by frame, each for itself."""
    for number, time_ms, picture, result in results_of_frames(request, clip):
        yield FrameResult(number, time_ms, picture, (result,), None)


def no_helpers(given: GivenBundles, box: Box | None) -> Helpers:
    """Of a task that works alone; the command has refused every option before."""
    return Helpers()


@dataclass(frozen=True)
class View:
    """How a task's results are made from raw files, told in a line, drawn and saved.

    Attributes:
        describe: one line for people.
        draw: the picture with its results; the flag asks for the class on the picture instead of beside it.
        predict: results of raw files.
        frames: results of a video's frames; None: single pictures only.
        draw_frame: a frame of a video with what counts in it; None as ``frames``.
        helpers: options of bundles that work with one of this task.
        open_helpers: opens those that were given.
        face_options: options of looking for faces that one of this task knows.
        depth_options: options of depth maps that one of this task knows whose network takes pictures.
        writers: other files than pictures that a result is saved to, by the ending of their names.
        caption: class and remark below a tile of a contact sheet; None for a task without classes.
    """

    describe: Callable[[Prediction], str]
    draw: Callable[[Prediction, bool], Picture]
    predict: Callable[[Request], list[Prediction]] = predict_each
    frames: Callable[[Request, Clip], Iterator[FrameResult]] | None = predict_frames
    draw_frame: Callable[[FrameResult], Picture] | None = None
    helpers: tuple[str, ...] = ()
    open_helpers: Callable[[GivenBundles, Box | None], Helpers] = no_helpers
    face_options: tuple[str, ...] = ()
    depth_options: tuple[str, ...] = ()
    writers: Mapping[str, Callable[[Prediction, Path], Path]] = field(default_factory=dict)
    caption: Callable[[Prediction], tuple[str, str]] | None = None
