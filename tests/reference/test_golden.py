"""Golden files: what is kept of large tensors, and what is refused."""

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reference.checkpoint import save_weights
from reference.errors import BadInput
from reference.golden import LARGEST, load_golden, main, stride, thin
from reference.registry import build_network, get_spec


@pytest.mark.parametrize(
    ("size", "step"), [(1, 1), (LARGEST, 1), (LARGEST + 1, 3), (2 * LARGEST, 3), (3 * LARGEST, 3), (3 * LARGEST + 1, 5)]
)
def test_steps_are_odd_and_keep_little(size, step):
    """An even step would see every second column of a picture only."""
    assert stride(size) == step
    assert -(-size // step) <= LARGEST


def test_large_tensors_are_thinned():
    tensor = np.arange(2.0 * LARGEST, dtype=np.float32).reshape(2, -1)
    assert thin(tensor)[:3].tolist() == [0, 3, 6]
    assert thin(tensor[:1]) is not None
    np.testing.assert_array_equal(thin(tensor[:1]), tensor[:1])


@pytest.fixture
def models_dir(tmp_path):
    """What a training leaves: weights of the classifier, and two pictures."""
    folder = tmp_path / "classifier"
    (folder / "golden").mkdir(parents=True)
    save_weights(build_network(get_spec("classifier")), folder / "weights.safetensors")
    for number in range(2):
        picture = np.random.default_rng(number).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "golden" / f"input_{number}.png"), picture)
    return tmp_path


def test_written_golden_files_are_read_back(models_dir):
    assert main(["classifier", "--models-dir", str(models_dir)]) == 0
    spec = get_spec("classifier")
    cases = load_golden(spec, models_dir)
    assert [case.raw.name for case in cases] == ["input_0.png", "input_1.png"]
    for case in cases:
        assert case.input.shape == spec.input.shape
        assert case.outputs["logits"].shape == (1, 7)
        assert case.intermediate.shape == (1, 576, 4, 4)
    assert np.abs(cases[0].input - cases[1].input).max() > 0.1


def test_incomplete_golden_files_are_refused(models_dir, refused):
    spec, folder = get_spec("classifier"), models_dir / "classifier" / "golden"
    with refused(BadInput, f"golden files in {folder} are incomplete", "run python -m reference.golden classifier"):
        load_golden(spec, models_dir)
    main(["classifier", "--models-dir", str(models_dir)])
    tensors = load_file(folder / "tensors.safetensors")
    del tensors["logits_0"]
    save_file(tensors, folder / "tensors.safetensors")
    with refused(BadInput, "logits_0", "run python -m reference.golden classifier"):
        load_golden(spec, models_dir)
    (folder / "input_1.png").unlink()
    with refused(BadInput, "1 raw inputs, 2 or more are needed", "run python -m reference.golden classifier"):
        load_golden(spec, models_dir)


def test_command_errors_are_one_line_and_exit_code_2(models_dir, tmp_path, capsys):
    (models_dir / "classifier" / "golden" / "input_0.png").unlink()
    for name, part in (("nobody", "model is 'nobody'"), ("voxel64", "no weights at"), ("classifier", "0 raw inputs")):
        assert main([name, "--models-dir", str(models_dir)]) == 2
        err = capsys.readouterr().err
        assert part in err
        assert err.count("\n") == 1
