"""The verbs of ``python -m sdk_build.mil``."""
