"""The file that apps make characters with is that of today's library."""

import json

import numpy as np
from safetensors.numpy import load

from reference.animation.motion.library import load_motion, read_library
from reference.animation.pack import PACK, main, pack


def opened(content: bytes):
    """Metadata, whose order is left to chance, and tensors."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"], load(content)


def test_the_committed_file_is_up_to_date(tmp_path, capsys):
    (old, stored), (new, made) = opened(PACK.read_bytes()), opened(pack())
    advice = "run python -m reference.animation.pack and commit the file"
    assert {k: v for k, v in old.items() if k != "sha256"} == {k: v for k, v in new.items() if k != "sha256"}, advice
    assert stored.keys() == made.keys()
    for name, values in made.items():
        # Quaternions in 65535 steps may fall to the next one on another processor.
        limit = 1 if "rotations" in name else 1e-6
        np.testing.assert_allclose(stored[name].astype(np.float64), values.astype(np.float64), atol=limit)
    assert main(["--out", str(tmp_path / "x.safetensors")]) == 0
    assert "MB" in capsys.readouterr().out


def test_rotations_are_those_of_the_clips():
    from scipy.spatial.transform import Rotation

    metadata, tensors = opened(PACK.read_bytes())
    figures = {figure["name"]: figure for figure in json.loads(metadata["figures"])}
    for name in ("horse", "fowl"):
        motion = load_motion(read_library()[name], "walk")
        stored = tensors[f"{name}.walk.rotations"].astype(np.float64) / 65535 * 2 - 1
        turns = Rotation.from_quat(stored.reshape(-1, 4)).as_matrix().reshape(motion.clip.rotations.shape)
        np.testing.assert_allclose(turns, motion.clip.rotations, atol=2e-4)
        assert figures[name]["feet"] == list(motion.feet) and figures[name]["topology"] == motion.topology
