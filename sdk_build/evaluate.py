"""``python -m sdk_build.evaluate NAME --data DIR --bundle PATH``: the task's own metrics of an exported artifact.

The same function measures the reference and the artifact, on the same inputs: see :mod:`reference.evaluate`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput
from sdk_build.bundle.files import Bundle
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from reference.spec import ModelSpec


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, evaluate, print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdk_build.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the bundle's model; its folder for one of your own")
    parser.add_argument("--data", type=Path, required=True, help="folder with the validation data")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--runtime", help="run on this runtime; without it, the bundle's first that runs here")
    parser.add_argument(
        "--held-out", action="store_true", help="of a folder of meshes: only those that training leaves out"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.name, a.data, a.bundle, a.runtime, a.held_out, a.json))


def run(name: str, data: Path, path: Path, runtime: str | None, held_out: bool, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    from reference.evaluate import describe
    from reference.registry import find_model
    from sdk_build.backends import execution_name
    from sdk_build.bundle.files import choose_runtime, open_bundle

    bundle = open_bundle(path)
    spec = find_model(name)
    if bundle.manifest.model != spec.name:
        raise BadInput(
            f"{path} is a bundle of {bundle.manifest.model}, not of {spec.name}; give one that fits the other"
        )
    chosen, _ = choose_runtime(bundle, runtime)
    metrics = measure_bundle(bundle, spec, data, chosen, held_out)
    document = {
        "model": spec.name,
        "data": str(data),
        "bundle": bundle.manifest.id,
        "runtime": execution_name(chosen),
        "metrics": metrics,
    }
    print(json.dumps(document) if as_json else f"{bundle.manifest.id} in {document['runtime']}\n{describe(metrics)}")
    return 0


def measure_bundle(bundle: Bundle, spec: ModelSpec, data: Path, runtime: str, held_out: bool = False) -> dict[str, Any]:
    """Metrics of one artifact of a bundle on the validation part of a data folder.

    Args:
        spec: of the bundle's model, as it is here: its folder may say how it is measured.

    Raises:
        BadInput: the folder can't be used, or the bundle has no artifact for the runtime.
        ArtifactCrashed: the runtime died.
    """
    from reference.pipelines.rgbd_frames import measure
    from sdk_build.bundle.files import choose_runtime
    from sdk_build.proof.accuracy import ArtifactNetwork
    from sdk_build.proof.sandbox import ArtifactProcess

    _, artifact = choose_runtime(bundle, runtime)
    with ArtifactProcess(runtime, artifact, bundle.manifest.spec) as process:
        return measure(spec, ArtifactNetwork(process), data, held_out)


if __name__ == "__main__":
    sys.exit(main())
