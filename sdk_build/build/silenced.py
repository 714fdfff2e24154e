"""Importing this silences the process for good: the first import of the process that workers are copied from.

What toolchains print when they are imported would end between the lines of the export. Errors come back as exceptions.
"""

from __future__ import annotations

import os

_nowhere = os.open(os.devnull, os.O_WRONLY)
for _stream in (1, 2):
    os.dup2(_nowhere, _stream)
