"""Training of the face reconstruction: rendered heads of known shape first, then photographs that teach themselves.

Rendered heads give the shape without and with expression and the place of every vertex. Photographs give row R4's two
terms: the keypoints' pixels against the projected landmark vertices, and pictures of the face's regions against the
drawn ones. Both go on together, so that the shape learnt from rendered heads is not forgotten.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from reference.data.face_mixes import VALIDATION_SEED, MixedFaces, Targets, Validation, make_targets
from reference.data.face_renders import Renders, cached_renders, load_head_shapes
from reference.data.faces import load_faces
from reference.errors import BadInput
from reference.geometry.face_topology import landmark_vertices, load_topology, spread_vertices
from reference.networks import face3d
from reference.tasks.face_keypoints import PRECISE_SETS
from reference.tasks.face_reconstruction import evaluate
from reference.train import distributed
from reference.train.options import Options
from reference.train.recipes.keypoints import heat_loss, point_loss
from reference.train.recipes.region_loss import normals_of, region_loss

RENDERED_SHARE = 2 / 3  # of each batch afterwards
# Epochs until other heads are rendered: the network gets to know the ones it has, and new ones are rendered in less
# than the time that it takes to learn from them once.
RENEWED_AFTER = 3
# Of the points' distances and of their maps' cross-entropy: the encoders learn a face's shape from the points, which
# tell the more of it the more exact they are.
POINT_WEIGHT, DENSE_WEIGHT, HEAT_WEIGHT = 5, 5, 0.1
# Of the distances of rendered heads' vertices, in decimetres, and of their places in the crop.
NEUTRAL_WEIGHT, SHAPE_WEIGHT, PLACED_WEIGHT = 20, 10, 3
# Parts of the network that read what the trunk gives.
HEADS = (
    *("identity_encoder", "expression_encoder", "pose_encoder", "appearance", "shape_reader"),
    *("identity_decoder", "expression_decoder", "pose_decoder"),
)
EDGE_STEP = 3  # every third edge, from a random one on, tells how rough a shape is
DRAWN = 2  # faces a batch whose regions are drawn

Array = NDArray[np.float32]


class Face3dRecipe:
    """See :class:`reference.train.loop.Recipe`; ``data`` holds sets of the faces68 layout, ``heads`` the head model."""

    monitor = "score"
    larger_is_better = False

    def __init__(
        self, data: Path, heads: Path, out: Path, epochs: int, batch: int, seed: int, rendered: int, init: Path | None,
        pretraining: float, frozen: float,
    ) -> None:  # fmt: skip
        for option, share in (("pretraining", pretraining), ("frozen", frozen)):
            if not 0 <= share <= 1:
                raise BadInput(f"--{option} is {share}; allowed: 0 to 1, a share of the epochs")
        self.epochs, self.batch, self.seed = epochs, batch, seed
        # Rendered heads alone at the start. At the end the trunk learns no more, and encoders and decoders see all
        # heads that were rendered once more: a trunk that stays is a third of the work.
        self.heads_epochs, self.trunk_epochs = pretraining * epochs, round((1 - frozen) * epochs)
        self.topology = load_topology()
        self.network = face3d.build(appearance=True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.set_mean(torch.from_numpy(self.topology.mean))
        if init is not None:
            start_from(self.network, init)
        self.shapes = load_head_shapes(heads, self.topology)
        self.photos = load_faces(data, "train")
        if seed == VALIDATION_SEED:
            raise BadInput(f"--seed is {seed}, which makes the held-out heads; give another")
        self.out, self.rendered = out, rendered
        self.part = -1
        self.training = MixedFaces(self.photos, None, True, seed)
        self.targets: Targets | None = None
        precise = np.isin(np.array(self.photos.sources), PRECISE_SETS)
        self.photo_numbers = np.repeat(np.arange(len(precise)), np.where(precise, 2, 1))
        self.validation = Validation.load(data, heads, out)
        named = list(self.network.named_parameters())
        groups = [[p for name, p in named if (name.split(".")[0] in HEADS) == heads] for heads in (True, False)]
        self.optimizer = torch.optim.AdamW([{"params": group} for group in groups], lr=1e-3, weight_decay=1e-4)
        self.frozen = False
        self.mean = torch.from_numpy(self.topology.mean.T.copy())
        self.faces = torch.from_numpy(self.topology.faces.astype(np.int64))
        self.spread = torch.from_numpy(spread_vertices(self.topology, face3d.DENSE))
        self.edges = torch.from_numpy(edges_of(self.topology.faces))
        if bool((self.network.read_gain == 1).all()):
            self.network.set_reading(read_some(self.network, self.training))

    def _use_heads(self, part: int) -> None:
        """Learn from other rendered heads from now on."""
        if part == self.part:
            return
        self.training = MixedFaces(self.photos, None, True, self.seed)  # two parts at once would take gigabytes
        self.targets = None
        # Every process renders its share, and reads what the others stored.
        shares, rank = np.array_split(np.arange(self.rendered), distributed.world()), distributed.rank()
        own = self._render(part, shares, rank)
        distributed.wait()
        parts = [own if n == rank else self._render(part, shares, n) for n in range(len(shares))]
        renders = Renders.joined(parts)
        self.part = part
        self.targets = make_targets(self.shapes, renders, self.topology)
        self.training = MixedFaces(self.photos, renders.faces, True, self.seed)

    def _render(self, part: int, shares: list[NDArray[np.int64]], number: int) -> Renders:
        path, own = self.out / f"renders_train_{part}_{number}.npz", shares[number]
        first = part * self.rendered + int(own[0])
        return cached_renders(path, self.shapes, self.topology, self.photos, len(own), self.seed, first, varied=True)

    def batches(self, epoch: int) -> DataLoader[Any]:
        """First rendered heads alone; then photographs and rendered heads in each batch."""
        rng = np.random.default_rng((self.seed, epoch))
        learning = self.trunk_epochs
        self.frozen = epoch >= learning
        # The trunk comes to rest before it is frozen: its rate falls to zero by then, the others' at the end.
        rest = 1.0 if self.frozen else epoch / learning
        rate = (1 + math.cos(math.pi * rest)) / (1 + math.cos(math.pi * epoch / self.epochs))
        self.optimizer.param_groups[1]["lr_scale"] = rate
        parts = -(-learning // RENEWED_AFTER) or self.epochs
        self._use_heads((epoch - learning) % parts if self.frozen else epoch // RENEWED_AFTER)
        assert self.targets is not None
        self.training.epoch = epoch
        heads = self.training.photos + rng.permutation(len(self.targets.placed))
        if epoch < self.heads_epochs and not self.frozen:
            order = _in_batches(heads, self.batch)
        else:
            order = _mixed(rng.permutation(self.photo_numbers), heads, self.batch, RENDERED_SHARE)
        own = order[:, distributed.rank() :: distributed.world()]
        return DataLoader(self.training, batch_sampler=own.tolist(), num_workers=1)

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, points, matrices, numbers = batch
        self.network.train(not self.frozen)  # batch statistics stay as well
        with torch.set_grad_enabled(not self.frozen):
            reading, heat, dense_heat = self.network.read(images.contiguous(memory_format=torch.channels_last))
        out = self.network.stages(reading)
        count = len(images)
        vertices, neutral, shape = (out[name].reshape(count, 3, -1) for name in ("vertices", "neutral", "shape"))
        chosen = landmark_vertices(vertices.detach().transpose(1, 2).numpy(), self.topology)
        projected = gather(vertices[:, :2], torch.from_numpy(chosen))
        ones = torch.ones(count)
        parts = {
            "keypoints": point_loss(projected, points, ones),
            # A face is smooth: neighbours move alike, and the more so the less the picture says.
            "smooth": 20 * self._roughness(neutral - self.mean, shape - neutral),
        }
        parts["points"] = POINT_WEIGHT * point_loss(torch.stack([reading.x, reading.y], dim=1), points, ones)
        parts["heat"] = HEAT_WEIGHT * heat_loss(heat, self.network.on_maps(points), ones)
        rendered = numbers >= 0
        if rendered.any():
            own = numbers[rendered].numpy()
            wanted = [torch.from_numpy(self._target(name, own)) for name in ("neutral", "shape", "placed")]
            parts["neutral"] = NEUTRAL_WEIGHT * distance(neutral[rendered], wanted[0]).mean()
            parts["shape"] = SHAPE_WEIGHT * distance(shape[rendered], wanted[1]).mean()
            matrix = matrices[rendered]
            placed = matrix[:, :, :2] @ wanted[2] + matrix[:, :, 2:]
            parts["placed"] = PLACED_WEIGHT * point_loss(vertices[rendered, :2], placed, torch.ones(len(own)))
            dense, read = placed[:, :, self.spread], torch.stack([reading.dense_x, reading.dense_y], dim=1)[rendered]
            parts["dense"] = DENSE_WEIGHT * point_loss(read, dense, torch.ones(len(own)))
            on_maps = self.network.on_maps(dense)
            parts["dense_heat"] = HEAT_WEIGHT * heat_loss(dense_heat[rendered], on_maps, torch.ones(len(own)))
        regions = self._regions(out["identity_feature"], reading.hidden, vertices, shape, images, rendered)
        parts["regions"] = 0.2 * regions
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(value.detach()) for name, value in parts.items()}

    def _target(self, name: str, own: NDArray[np.int64]) -> Array:
        return getattr(self.targets, name)[own].transpose(0, 2, 1).astype(np.float32)

    def _roughness(self, *moved: Tensor) -> Tensor:
        first, second = self.edges[int(torch.randint(EDGE_STEP, ())) :: EDGE_STEP].T
        each = [(m.index_select(2, first) - m.index_select(2, second)).square().sum(1).mean() for m in moved]
        return torch.stack(each).sum()

    def _regions(
        self, identity: Tensor, hidden: Tensor, vertices: Tensor, shape: Tensor, images: Tensor, rendered: Tensor
    ) -> Tensor:
        """Row R4's second term, of a few photographs of the batch, or of rendered heads where there are none."""
        assert self.network.appearance is not None
        drawn = (~rendered if (~rendered).any() else rendered).nonzero()[:DRAWN, 0]
        normals = normals_of(shape[drawn], self.faces)
        colors = self.network.appearance(identity[drawn], hidden[drawn], normals)
        return region_loss(vertices[drawn], colors, images[drawn], self.topology)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        metrics = evaluate(network, self.validation)
        # One figure to choose weights by: the two that the card promises, each against its own goal.
        return {**metrics, "score": metrics["nme_percent"] / 6 + metrics["shape_error_ratio"] / 0.65}


def start_from(network: face3d.Face3d, path: Path) -> None:
    """Take every tensor that another network has under the same name and of the same shape.

    Raises:
        BadInput: the file can't be read, or has no features of this kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadInput(f"can't read {path} ({error}); --init names a weights.safetensors") from error
    wanted = network.state_dict()
    fitting = {name: t for name, t in stored.items() if name in wanted and t.shape == wanted[name].shape}
    if not any(name.startswith("features.") for name in fitting):
        raise BadInput(f"{path} has no features of this network; --init names template_keypoints' or face3d's weights")
    network.load_state_dict({**wanted, **{name: t.to(wanted[name].dtype) for name, t in fitting.items()}})


@torch.no_grad()
def read_some(network: face3d.Face3d, training: MixedFaces, count: int = 512) -> Tensor:
    """What the encoders read of ``count`` faces."""
    chosen = np.random.default_rng(0).permutation(len(training))[:count]
    network.eval()
    parts = []
    for start in range(0, len(chosen), 64):
        images = torch.stack([training[int(i)][0] for i in chosen[start : start + 64]])
        parts.append(network.gather(network.read(images.contiguous(memory_format=torch.channels_last))[0]))
    network.train()
    return torch.cat(parts)


def edges_of(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """(E, 2) edges of (F, 3) triangles, each once."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0).astype(np.int64)


def gather(values: Tensor, numbers: Tensor) -> Tensor:
    """(B, C, P) entries ``numbers`` (B, P) of (B, C, V)."""
    return values.gather(2, numbers[:, None].expand(-1, values.shape[1], -1))


def distance(one: Tensor, other: Tensor) -> Tensor:
    """(B, V) lengths of the differences of (B, 3, V) vertices; several times as fast as a norm over the middle axis."""
    x, y, z = (one - other).square().unbind(1)
    return (x + y + z + 1e-12).sqrt()


def _mixed(photos: NDArray[np.int64], heads: NDArray[np.int64], size: int, rendered_share: float) -> NDArray[np.int64]:
    """(N, size) numbers: every photograph once, and in each batch a share of rendered heads, in turn."""
    few = max(1, round(size * rendered_share))
    order = _in_batches(photos, size - few)
    return np.concatenate([order, np.resize(heads, (len(order), few))], axis=1)


def _in_batches(numbers: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    if len(numbers) < size:
        raise BadInput(f"{len(numbers)} faces are less than one batch; use a smaller --batch or more data")
    return numbers[: len(numbers) // size * size].reshape(-1, size)


def make(o: Options) -> Face3dRecipe:
    """The recipe of the training command; rendered heads are kept in the output folder."""
    heads = o.heads or o.data
    return Face3dRecipe(o.data, heads, o.out, o.epochs, o.batch, o.seed, o.rendered, o.init, o.pretraining, o.frozen)
