"""Playing a class's sound with whatever player this machine has (document I, row I8)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from sdk_build.bundle.files import Bundle

# Program and its arguments before the file: macOS, PulseAudio, ALSA, FFmpeg, SoX.
PLAYERS = (
    ("afplay",),
    ("paplay",),
    ("aplay", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
    ("play", "-q"),
)
LONGEST_S = 30


def sound_of(bundle: Bundle, label: str) -> Path | None:
    """The sound file that the bundle has for a class, or None."""
    return next((bundle.path / entry.value for entry in bundle.manifest.sounds if entry.name == label), None)


def play(file: Path) -> bool:
    """Play a sound to its end; False where no player is installed or it finds no sound device."""
    for program, *options in PLAYERS:
        found = shutil.which(program)
        if found is None:
            continue
        try:
            done = subprocess.run([found, *options, str(file)], capture_output=True, timeout=LONGEST_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return True
    return False
