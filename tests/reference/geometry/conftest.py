"""Lets the tests of this folder import its synthetic meshes under any pytest import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
