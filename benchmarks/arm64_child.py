"""The emulated side of :mod:`benchmarks.arm64`: numpy and LiteRT alone, in the arm64 Python.

``python3.11 arm64_child.py MODEL INPUT.npy OUTPUT.npz|- CALLS``; before the first call and after each it asks for its
parent's process id, which is the mark that ``arm64_counter.c`` waits for.
"""

from __future__ import annotations

import os
import sys

import numpy as np


def main(arguments: list[str]) -> int:
    """Run the model and store its outputs by name."""
    from ai_edge_litert.interpreter import Interpreter

    model, given, taken, calls = arguments
    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load(given))
    os.getppid()
    for _ in range(int(calls)):
        interpreter.invoke()
        os.getppid()
    if taken != "-":
        (signature,) = interpreter.get_signature_list()
        runner = interpreter.get_signature_runner(signature)
        (name,) = interpreter.get_signature_list()[signature]["inputs"]
        np.savez(taken, **runner(**{name: np.load(given)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
