"""Core ML's older format: a list of layers in one .mlmodel file, weights included.

A layer becomes one operation of a :class:`~sdk_build.mil.program.MilProgram`, with the layer's settings as constants
under Apple's own names, so that tracing and comparing work as for ML programs.
"""

from sdk_build.mil.neural_network.reader import executor_of

__all__ = ["executor_of"]
