"""The training loop: it learns, it resumes to the same weights, and it says what is wrong."""

import csv
import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from reference.errors import BadInput
from reference.train import loop
from reference.train.loop import LoopConfig, rate_at, train


class TinyRecipe:
    """Fits a line. Dropout draws from the global generator, which a resumed run must find as it was left.

    Args:
        stop_at: (epoch, batch) at which Ctrl-C is pressed.
        poison: multiplies the loss of every batch.
    """

    monitor = "error"
    larger_is_better = False

    def __init__(self, epochs=4, stop_at=None, poison=1.0, width=8, samples=24):
        self.epochs = epochs
        self.stop_at = stop_at
        self.poison = poison
        generator = torch.Generator().manual_seed(1)
        self.x = torch.rand(samples, 3, generator=generator)
        self.y = self.x @ torch.tensor([[1.0], [-2.0], [0.5]])
        with torch.random.fork_rng():
            torch.manual_seed(2)
            self.network = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 1))
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.rates = []

    def batches(self, epoch):
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(epoch))
        self.now = [epoch, -1]
        return DataLoader(TensorDataset(self.x[order], self.y[order]), batch_size=8, drop_last=True)

    def loss(self, batch, progress):
        self.now[1] += 1
        if self.stop_at == tuple(self.now):
            raise KeyboardInterrupt
        self.rates.append((progress, self.optimizer.param_groups[0]["lr"]))
        x, y = batch
        error = (self.network(x) - y).square().mean()
        return error * self.poison, {"part": float(error.detach())}

    def evaluate(self, network):
        return {"error": float((network(self.x) - self.y).square().mean())}


def config(out, **options):
    return LoopConfig(out, options.pop("learning_rate", 0.02), quiet=True, **options)


def rows(out):
    with (out / "log.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_learning_rate_warms_up_and_ends_at_zero(tmp_path):
    shape = config(tmp_path, learning_rate=0.4, warmup=0.1)
    assert [rate_at(p, shape) for p in (0, 0.05, 0.1, 0.55, 1)] == pytest.approx([0, 0.2, 0.4, 0.2, 0])


def test_training_learns_and_keeps_the_best_weights(tmp_path):
    torch.manual_seed(5)
    recipe = TinyRecipe(epochs=30)
    with torch.no_grad():
        before = recipe.evaluate(recipe.network)["error"]
    best = train(recipe, config(tmp_path, learning_rate=0.05))
    assert best["error"] < before / 3
    assert best["error"] == pytest.approx(min(float(row["error"]) for row in rows(tmp_path)), rel=1e-4)
    stored = TinyRecipe()
    stored.network.load_state_dict({k: v.float() for k, v in load_file(tmp_path / "weights.safetensors").items()})
    stored.network.eval()
    with torch.no_grad():
        error = stored.evaluate(stored.network)["error"]
    assert error == pytest.approx(best["error"], rel=0.1)  # kernels are stored as float16
    for progress, rate in recipe.rates:
        assert rate == rate_at(progress, config(tmp_path, learning_rate=0.05))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint.pt",
        "curves.png",
        "log.csv",
        "weights.safetensors",
    ]


def test_log_has_a_line_an_epoch(tmp_path):
    train(TinyRecipe(epochs=3), config(tmp_path, evaluate_every=2))
    log = rows(tmp_path)
    assert list(log[0]) == ["epoch", "loss", "part", "seconds", "error"]  # columns in the order they first appear
    assert [row["epoch"] for row in log] == ["1", "2", "3"]
    assert [row["error"] != "" for row in log] == [False, True, True]  # every second one, and the last
    for row in log:
        assert math.isfinite(float(row["loss"]))
        assert row["loss"] == row["part"]


@pytest.mark.parametrize(("stop_at", "average"), [((1, 0), 0.0), ((2, 1), 0.0), ((2, 1), 0.9)])
def test_a_resumed_training_ends_at_the_same_weights(tmp_path, stop_at, average):
    def config(out):
        return LoopConfig(out, 0.02, quiet=True, average=average)

    torch.manual_seed(5)
    whole = TinyRecipe()
    best = train(whole, config(tmp_path / "whole"))

    torch.manual_seed(5)
    with pytest.raises(KeyboardInterrupt):
        train(TinyRecipe(stop_at=stop_at), config(tmp_path / "parts"))
    torch.manual_seed(99)  # a new process has another state
    resumed = TinyRecipe()
    assert train(resumed, config(tmp_path / "parts")) == best
    assert resumed.rates[0][0] == pytest.approx(stop_at[0] / 4)  # the stopped epoch starts again
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name

    def timeless(out):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(out)]

    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")
    assert (tmp_path / "parts" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


def test_a_stop_between_log_and_checkpoint_logs_no_epoch_twice(tmp_path, monkeypatch):
    original = loop._save_checkpoint

    def stop(recipe, mean, out, state):
        if state.epoch == 3:
            raise KeyboardInterrupt
        original(recipe, mean, out, state)

    monkeypatch.setattr(loop, "_save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        train(TinyRecipe(), config(tmp_path))
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3"]
    monkeypatch.undo()
    train(TinyRecipe(), config(tmp_path))
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3", "4"]


def test_a_finished_training_is_not_repeated(tmp_path):
    best = train(TinyRecipe(), config(tmp_path))
    again = TinyRecipe()
    assert train(again, config(tmp_path)) == best
    assert again.rates == []


def test_a_new_training_starts_a_new_log(tmp_path):
    train(TinyRecipe(), config(tmp_path))
    (tmp_path / "checkpoint.pt").unlink()
    train(TinyRecipe(epochs=1), config(tmp_path))
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops(tmp_path, poison, refused):
    recipe = TinyRecipe(poison=poison)
    before = [p.clone() for p in recipe.network.parameters()]
    with refused(BadInput, f"loss is {poison} in epoch 1", "use a smaller --learning-rate"):
        train(recipe, config(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(before, recipe.network.parameters(), strict=True))


def test_a_batch_larger_than_the_data_is_refused(tmp_path, refused):
    with refused(BadInput, "less than one batch", "use a smaller --batch or more data"):
        train(TinyRecipe(samples=5), config(tmp_path))


def test_checkpoint_of_another_network(tmp_path, refused):
    train(TinyRecipe(epochs=1), config(tmp_path))
    with refused(BadInput, f"{tmp_path / 'checkpoint.pt'} is of another network", "give another --out or remove it"):
        train(TinyRecipe(width=9), config(tmp_path))


def test_checkpoint_without_its_keys(tmp_path, refused):
    torch.save({"epoch": 1}, tmp_path / "checkpoint.pt")
    with refused(BadInput, "is of another network", "give another --out or remove it"):
        train(TinyRecipe(), config(tmp_path))


class Evil:
    """Runs code when unpickled."""

    def __reduce__(self):
        return (print, ("code from a checkpoint ran",))


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "code"])
def test_damaged_checkpoints(tmp_path, damage, refused, capsys):
    path = tmp_path / "checkpoint.pt"
    train(TinyRecipe(epochs=1), config(tmp_path))
    if damage == "code":
        torch.save({"network": Evil()}, path)
    else:
        path.write_bytes({"empty": b"", "text": b"no checkpoint", "truncated": path.read_bytes()[:-100]}[damage])
    with refused(BadInput, f"{path} is damaged", "remove it to start anew"):
        train(TinyRecipe(), config(tmp_path))
    assert "ran" not in capsys.readouterr().out


def test_the_running_mean_is_exponential_and_quick_at_first():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    mean = loop.RunningMean(network, 0.5)
    values = []
    for value in (1.0, 1.0, 3.0):
        nn.init.constant_(network.weight, value)
        mean.update()
        values.append(mean.network.weight.item())
    first = 1 - 2 / 11  # after one step the decay is (1 + 1) / (10 + 1)
    second = first + (1 - 3 / 12) * (1 - first)
    assert values == pytest.approx([first, second, second + (1 - 4 / 13) * (3 - second)])
    for _ in range(20):  # by now the decay is its full 0.5
        mean.update()
    nn.init.constant_(network.weight, 5.0)
    mean.update()
    assert mean.network.weight.item() == pytest.approx(4.0, abs=1e-4)


def test_the_mean_is_what_is_evaluated_and_kept(tmp_path):
    torch.manual_seed(5)
    recipe = TinyRecipe(epochs=2)
    best = train(recipe, LoopConfig(tmp_path, 0.05, quiet=True, average=0.99))
    recipe.network.eval()
    with torch.no_grad():
        assert recipe.evaluate(recipe.network)["error"] != pytest.approx(best["error"], rel=1e-3)
    stored = load_file(tmp_path / "weights.safetensors")
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["mean"]
    for name, tensor in kept.items():
        torch.testing.assert_close(stored[name].float(), tensor, rtol=1e-3, atol=1e-3)


def test_patience_ends_a_training_that_gets_no_better(tmp_path):
    """Metrics 5, 3, 4, 3: the second is the best, and the equal fourth is no progress."""
    recipe = TinyRecipe(epochs=50)
    given = iter([5.0, 3.0, 4.0, 3.0, 1.0])
    recipe.evaluate = lambda network: {"error": next(given)}
    assert train(recipe, config(tmp_path, patience=2)) == {"error": 3.0}
    assert [float(row["error"]) for row in rows(tmp_path)] == [5, 3, 4, 3]
    again = TinyRecipe(epochs=50)  # it stays at an end when the command is repeated
    train(again, config(tmp_path, patience=2))
    assert again.rates == []


class Hours:
    """A clock that a test turns: every batch takes a second."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(loop.time, "monotonic", lambda: self.now)

    def recipe(self, **options):
        recipe = TinyRecipe(**options)
        loss = recipe.loss

        def slow(batch, progress):
            self.now += 1.0
            return loss(batch, progress)

        recipe.loss = slow
        return recipe


def test_a_time_limit_ends_the_training_with_the_rate_run_down(tmp_path, monkeypatch):
    hours = Hours(monkeypatch)
    recipe = hours.recipe(epochs=1000)  # 3 batches an epoch, 3 s
    train(recipe, config(tmp_path, minutes=0.25, learning_rate=0.05))
    assert len(recipe.rates) == 15  # a batch a second, 15 s
    assert [progress for progress, _ in recipe.rates] == pytest.approx([n / 15 for n in range(15)], abs=1e-3)
    assert recipe.rates[-1][1] < 0.05 / 20
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3", "4", "5"]
    assert rows(tmp_path)[-1]["error"] != ""
    assert recipe.epochs == 5  # what the recipe plans by


def test_a_time_limit_cuts_the_last_epoch_short(tmp_path, monkeypatch):
    recipe = Hours(monkeypatch).recipe(epochs=1000)
    train(recipe, config(tmp_path, minutes=4 / 60))
    assert len(recipe.rates) == 4
    assert len(rows(tmp_path)) == 2


def test_with_a_time_limit_the_number_of_epochs_does_not_matter(tmp_path, monkeypatch):
    recipe = Hours(monkeypatch).recipe(epochs=1)
    train(recipe, config(tmp_path, minutes=0.25))
    assert len(recipe.rates) == 15


def test_time_between_a_stop_and_its_resumption_does_not_count(tmp_path, monkeypatch):
    hours = Hours(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(hours.recipe(epochs=9, stop_at=(2, 0)), config(tmp_path, minutes=0.25))
    hours.now += 5000
    resumed = hours.recipe(epochs=9)
    train(resumed, config(tmp_path, minutes=0.25))
    assert resumed.rates[0][0] == pytest.approx(6 / 15, abs=1e-3)
    assert len(resumed.rates) == 9
