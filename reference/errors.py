"""Errors that a reference model raises; :mod:`sdk_build.errors` holds the rest of the tree.

Every message is one line in three parts: what was received, what is allowed, what to do.
"""


class OnParError(Exception):
    """Root of every error that OnPar raises on purpose. ``exit_code`` is what a command returns."""

    exit_code = 1


class BadInput(OnParError):
    """A picture, depth map, folder or argument that can't be used (exit code 2)."""

    exit_code = 2


class WeightsError(OnParError):
    """Weights that are missing, damaged, or belong to another network (exit code 2)."""

    exit_code = 2
