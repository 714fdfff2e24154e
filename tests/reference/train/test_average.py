"""The mean of several runs' weights, and what has none."""

import torch
from safetensors.torch import load_file, save_file

from reference.errors import BadInput, WeightsError
from reference.train.average import average, main


def weights(path, value, shape=(2, 3)):
    tensors = {"weight": torch.full(shape, value), "bias": torch.full((2,), value), "batches": torch.tensor(int(value))}
    save_file(tensors, path)
    return path


def test_the_mean_of_three(tmp_path, capsys):
    files = [weights(tmp_path / f"{value}.safetensors", value) for value in (1.0, 2.0, 6.0)]
    assert main([*map(str, files), "--out", str(tmp_path / "new" / "mean.safetensors")]) == 0
    found = load_file(tmp_path / "new" / "mean.safetensors")
    assert found["weight"].dtype == torch.float16 and (found["weight"] == 3).all()
    assert found["bias"].dtype == torch.float32 and (found["bias"] == 3).all()
    assert found["batches"] == 1
    assert "the mean of 3 files" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["mean.safetensors"]


def test_what_has_no_mean(tmp_path, refused):
    one = weights(tmp_path / "one.safetensors", 1.0)
    other = weights(tmp_path / "other.safetensors", 1.0, (3, 2))
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with refused(BadInput, "1 file", "two or more"):
        average([one], tmp_path / "out")
    with refused(BadInput, "other.safetensors", "another network"):
        average([one, other], tmp_path / "out")
    for name in ("junk", "missing"):
        with refused(BadInput, f"can't read {tmp_path / name}.safetensors"):
            average([one, tmp_path / f"{name}.safetensors"], tmp_path / "out")
    with refused(WeightsError, "can't write"):
        average([one, one], one / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_it_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none"), str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
