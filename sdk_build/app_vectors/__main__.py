"""``python -m sdk_build.app_vectors``: small inputs with their exact results, for the tests of the apps.

The Kotlin, Swift and web libraries read ``tests/vectors/vectors.json`` and must give what Python gives: orientations,
odd sizes, camera frames with strides, crops at the border, turned crops, faces that are followed, results, face meshes,
metrics, signatures and bad inputs. Byte arrays and tensors (little-endian float32) are base64. ``characters.json``
holds drawings and the characters made from them, for the web library.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from sdk_build.app_vectors.collection import FOLDER, collect, collect_characters, to_text
from sdk_build.app_vectors.encoding import Json
from sdk_build.command import exit_with, need_checkout

MAKE: dict[str, Callable[[], Json]] = {"vectors.json": collect, "characters.json": collect_characters}


def main(arguments: list[str] | None = None, make: dict[str, Callable[[], Json]] = MAKE) -> int:
    """Write the files; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdk_build.app_vectors", description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, default=FOLDER)
    a = parser.parse_args(arguments)
    return exit_with(lambda: write(a.output_dir, make))


def write(folder: Path, make: dict[str, Callable[[], Json]]) -> int:
    """The command's body; returns the exit code."""
    if folder == FOLDER:
        need_checkout("sdk_build.app_vectors", "the folder of the tests")
    texts = {name: to_text(collected()) for name, collected in make.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"{folder / name}: {len(text) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
