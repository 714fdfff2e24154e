"""Short sounds for the classes of the classifier, computed here so that they carry no licence (document I, row I8).

``python -m reference.sounds FOLDER`` writes one WAV file a class. An app plays the file that a bundle's ``sounds``
names for the class; replace the files, or the names in the model's card, by others.
"""

from __future__ import annotations

import argparse
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # samples a second, mono, 16 bit
Wave = NDArray[np.float64]


def _times(seconds: float) -> Wave:
    return np.arange(int(seconds * RATE)) / RATE


def _swell(t: Wave, attack: float, release: float) -> Wave:
    """Loudness that rises within ``attack`` seconds and falls within the last ``release``."""
    rise: Wave = np.clip(t / attack, 0, 1) * np.clip((t[-1] - t) / release, 0, 1)
    return rise


def _tone(frequency: Wave, harmonics: tuple[float, ...]) -> Wave:
    """A tone of changing frequency in Hz with the strengths of its harmonics."""
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    total: Wave = np.sum([a * np.sin((n + 1) * phase) for n, a in enumerate(harmonics)], axis=0)
    return total


def _noise(count: int) -> Wave:
    return np.random.default_rng(7).uniform(-1, 1, count)


def _silence(seconds: float) -> Wave:
    return np.zeros(int(seconds * RATE))


def dog() -> Wave:
    """Two barks: a falling, rough tone."""
    t = _times(0.16)
    bark = (_tone(520 * np.exp(-5 * t) + 160, (1, 0.7, 0.5, 0.4)) + 0.5 * _noise(len(t))) * _swell(t, 0.015, 0.09)
    return np.concatenate([bark, _silence(0.12), bark])


def elephant() -> Wave:
    """A trumpet call that rises and flutters."""
    t = _times(0.75)
    pitch = 330 + 260 * np.sin(np.pi * t / t[-1]) + 25 * np.sin(2 * np.pi * 24 * t)
    return _tone(pitch, (1, 0.8, 0.7, 0.5, 0.4, 0.3)) * _swell(t, 0.06, 0.25)


def giraffe() -> Wave:
    """A low hum, as giraffes make at night."""
    t = _times(0.7)
    return _tone(92 + 4 * np.sin(2 * np.pi * 3 * t), (1, 0.5, 0.25)) * _swell(t, 0.2, 0.3)


def guitar() -> Wave:
    """A plucked string (Karplus and Strong, 1983)."""
    string = _noise(int(RATE / 196))
    samples = np.empty(int(0.8 * RATE))
    for i in range(len(samples)):
        j = i % len(string)
        samples[i] = string[j]
        string[j] = 0.498 * (string[j] + string[(j + 1) % len(string)])
    return samples * _swell(_times(0.8), 0.001, 0.1)


def horse() -> Wave:
    """Four hoofs on stone."""
    t = _times(0.07)
    hoof = (_tone(900 * np.exp(-20 * t) + 500, (1, 0.3)) + 0.3 * _noise(len(t))) * np.exp(-60 * t)
    gaps = (0.05, 0.13, 0.05, 0.05)
    return np.concatenate([part for gap in gaps for part in (hoof, _silence(gap))])


def house() -> Wave:
    """A door bell: two notes, a third apart."""
    t = _times(0.4)
    return np.concatenate([_tone(np.full(len(t), f), (1, 0.2, 0.3)) * np.exp(-5 * t) for f in (659.3, 523.3)])


def person() -> Wave:
    """A voice on two vowels: pulses through three resonances each."""
    parts = []
    for pitch, formants in ((150, (500, 1800, 2500)), (120, (450, 850, 2400))):
        t = _times(0.26)
        weights = tuple(
            float(sum(np.exp(-(((n * pitch - f) / 130) ** 2)) for f in formants)) + 0.02 for n in range(1, 24)
        )
        parts.append(_tone(pitch * (1 - 0.15 * t / t[-1]), weights) * _swell(t, 0.03, 0.08))
    return np.concatenate(parts)


SOUNDS: dict[str, Callable[[], Wave]] = {
    "dog": dog,
    "elephant": elephant,
    "giraffe": giraffe,
    "guitar": guitar,
    "horse": horse,
    "house": house,
    "person": person,
}


def write_wave(path: Path, samples: Wave) -> None:
    """Save samples as mono 16-bit PCM, at 70 % of full scale."""
    loudest = float(np.abs(samples).max()) or 1.0
    pcm = np.round(samples / loudest * 0.7 * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())


def main(arguments: list[str] | None = None) -> int:
    """Write every sound; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.sounds", description=__doc__)
    parser.add_argument("folder", type=Path)
    a = parser.parse_args(arguments)
    a.folder.mkdir(parents=True, exist_ok=True)
    for label, make in SOUNDS.items():
        write_wave(a.folder / f"{label}.wav", make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
