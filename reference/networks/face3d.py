"""A 3-D face from one picture without a PCA basis (document R, rows R1 to R3).

Identity, expression and pose encoders read one MobileNetV3 trunk: its last features, the places of the 68 points and
of 192 vertices more (as Wood et al., *3D face reconstruction with dense landmarks*, ECCV 2022, fit faces to), each the
mean place under a map of its own (Sun et al., *Integral human pose regression*, ECCV 2018), and, but for the pose, how
the face looks at each place: the mean of a few features under the same map. The identity decoder turns the identity
feature into the neutral face; the expression decoder takes the expression feature and that face to the intermediate
shape; the pose feature gives a quaternion, a scale and a shift, which place it in the crop under weak perspective. Both
decoders are plain multilayer perceptrons that end in vertex coordinates; nothing in them is, or was started from, a
statistical basis.

Differs from the source: the document gives each encoder its own network; a shared trunk is a third of the size. It
leaves the projection open; weak perspective has no camera to guess.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from reference.networks.layers import ConvNormAct
from reference.networks.point_maps import HIDDEN, INNER, MEAN, POINTS, STD, PointMaps, cell_centers
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

# More pixels than most crops hold: who someone is shows in a hundredth of a face's width, which finer maps place.
SIZE = 176
LOOKED_AT = 160  # the middle of the crop; its margin is there for whoever cuts it out, and tells little of the face
VERTICES = 2500
IDENTITY, EXPRESSION, POSE = 96, 64, 48  # length of each feature
LOOK, DENSE_LOOK = 32, 8  # channels of what a point, and one of the vertices below, looks like
DENSE = 192  # vertices beside the landmarks whose places are read from maps as well
SHARPENED = 3  # blocks at the end of the path
# One step of an optimiser moves all weights of an output by about its learning rate: outputs in units of a typical
# difference between faces (decimetres) and between poses keep that step small against what is to be learnt.
SHAPE_UNIT, POSE_UNIT = 0.02, 0.1

SPEC = ModelSpec(
    name="face3d",
    task="face_reconstruction",
    document="R",
    network="face3d:build",
    inputs=(TensorSpec("image", (1, 3, SIZE, SIZE), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(
        TensorSpec("vertices", (1, VERTICES, 3), "NPC", "crop_fraction"),
        TensorSpec("neutral", (1, VERTICES, 3), "NPC", "decimetre"),
        TensorSpec("pose", (1, 7), "NC", "quaternion_scale_shift"),
    ),
    preprocess=PreprocessSpec(size=(SIZE, SIZE), mean=MEAN, std=STD),
    postprocess=PostprocessSpec("FaceMesh"),
    intermediate="reduce",
    description="a face mesh of 2,500 vertices from a square crop around a face, its neutral shape and its pose",
)


class Reading(NamedTuple):
    """What the trunk reads of (B, 3, 176, 176) pictures.

    Attributes:
        hidden: (B, 256) of the last features.
        x, y: (B, 68) places of the points in fractions of the crop.
        dense_x, dense_y: (B, 192) places of other vertices likewise, hidden ones too.
        looks: (B, 68 * 32 + 192 * 8) features of the places where the points are, point by point, then the vertices'.
    """

    hidden: Tensor
    x: Tensor
    y: Tensor
    dense_x: Tensor
    dense_y: Tensor
    looks: Tensor


class Face3d(PointMaps):
    """Encoders, decoders, pose transform and projection.

    Args:
        width: channel multiplier of the MobileNetV3-Small trunk.
        appearance: with the colours and the light that only training needs, to predict pictures of the face (row R4).
    """

    columns: Tensor
    rows: Tensor
    eye_share: Tensor
    mouth_share: Tensor
    read_mean: Tensor
    read_gain: Tensor

    def __init__(self, width: float = 0.75, appearance: bool = False) -> None:
        super().__init__(width, LOOKED_AT)
        read = HIDDEN + 4 * POINTS + 2 * DENSE
        looks = LOOK * POINTS + DENSE_LOOK * DENSE
        self.fine = ConvNormAct(16, INNER, 3, 2)
        self.sharpen = nn.ModuleList(
            nn.Sequential(ConvNormAct(INNER, INNER, 3, groups=INNER), ConvNormAct(INNER, INNER, 1))
            for _ in range(SHARPENED)
        )
        self.dense_heat = nn.Conv2d(INNER, DENSE, 1)
        self.dense_look_at = nn.Conv2d(INNER, DENSE_LOOK, 1)
        self.look_at = nn.Conv2d(INNER, LOOK, 1)
        self.identity_encoder = Encoder(read + looks, 384, IDENTITY)
        self.expression_encoder = Encoder(read + looks, 128, EXPRESSION)
        self.pose_encoder = Encoder(read, 128, POSE)
        self.identity_decoder = nn.Sequential(nn.Linear(IDENTITY, 160), nn.ReLU(), nn.Linear(160, 3 * VERTICES))
        self.shape_reader = nn.Linear(3 * VERTICES, 32)
        # Leaky: features grow large in training, and all rectifiers of this small layer were off for good once.
        self.expression_decoder = nn.Sequential(
            nn.Linear(EXPRESSION + 32, 96), nn.LeakyReLU(0.1), nn.Linear(96, 3 * VERTICES)
        )
        self.pose_decoder = nn.Linear(POSE, 7)
        self.appearance = Appearance() if appearance else None
        shares = torch.zeros(2, 1, POINTS)
        shares[0, 0, 36:48], shares[1, 0, 48:68] = 1 / 12, 1 / 20
        self.register_buffer("eye_share", shares[0], persistent=False)
        self.register_buffer("mouth_share", shares[1].clone(), persistent=False)
        self.register_buffer("read_mean", torch.zeros(1, read + looks))
        self.register_buffer("read_gain", torch.ones(1, read + looks))
        self._initialize()
        columns, rows = cell_centers(self.cells, LOOKED_AT / SIZE)
        # One row each: picking a column of a product with both is an operation that XNNPACK leaves out.
        self.register_buffer("columns", columns[None], persistent=False)  # (1, 40 * 40)
        self.register_buffer("rows", rows[None], persistent=False)

    def _initialize(self) -> None:
        self.start()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        # The start is an upright mean face that fills the middle of the crop; its shape is put into the biases.
        for decoder in (self.identity_decoder[2], self.expression_decoder[2], self.pose_decoder):
            nn.init.normal_(decoder.weight, 0, 0.03)  # type: ignore[arg-type]
        nn.init.normal_(self.dense_heat.weight, 0, 0.05)
        for norm in (self.fine[1], *(block[1][1] for block in self.sharpen)):  # type: ignore[index]
            nn.init.zeros_(norm.weight)  # each starts as nothing added
        with torch.no_grad():
            self.pose_decoder.bias.copy_(torch.tensor([1.0, 0, 0, 0, 0.4, 0.5, 0.5]) / POSE_UNIT)

    def set_mean(self, mean: Tensor) -> None:
        """Start from (V, 3) vertices as the face of everyone."""
        bias = self.identity_decoder[2].bias
        assert isinstance(bias, Tensor)
        with torch.no_grad():
            bias.copy_(mean.T.reshape(-1) / SHAPE_UNIT)

    def read(self, image: Tensor) -> tuple[Reading, Tensor, Tensor]:
        """What the encoders read, and the logits (B, 68 and 192, 40 * 40) of the points' and the vertices' maps.

        Args:
            image: (B, 3, 176, 176) RGB in [0, 1].
        """
        edge = (SIZE - LOOKED_AT) // 2
        hidden, x, taps = self.look(image[:, :, edge : edge + LOOKED_AT, edge : edge + LOOKED_AT])
        path = self.path(x, taps)
        heat, dense = self.maps(path), self.dense_heat(path).flatten(2)
        shares, dense_shares = torch.softmax(heat, dim=2), torch.softmax(dense, dim=2)
        looks, dense_looks = _looks(shares, self.look_at(path)), _looks(dense_shares, self.dense_look_at(path))
        # Joined in rows of one length: joined flat, LiteRT's converter would make it one with the join that follows.
        together = torch.cat([looks, dense_looks.reshape(-1, DENSE * DENSE_LOOK // LOOK, LOOK)], dim=1)
        reading = Reading(hidden, *self._places(shares), *self._places(dense_shares), together.flatten(1))
        return reading, heat, dense

    @staticmethod
    def on_maps(points: Tensor) -> Tensor:
        """Points in fractions of the crop as fractions of the maps, which cover its middle."""
        return 0.5 + (points - 0.5) * (SIZE / LOOKED_AT)

    def _places(self, shares: Tensor) -> tuple[Tensor, Tensor]:
        x, y = (nn.functional.linear(shares, place).flatten(1) for place in (self.columns, self.rows))
        return x, y

    def path(self, x: Tensor, taps: dict[int, Tensor]) -> Tensor:
        """The path's features (B, 64, 40, 40) with what the trunk's first layer, of twice the size, adds to them."""
        path = torch.relu(super().path(x, taps) + self.fine(taps[0]))
        for block in self.sharpen:
            path = torch.relu(path + block(path))
        return path

    def gather(self, reading: Reading) -> Tensor:
        """What the encoders read (B, 4624), the points also as those of the upright face of unit height.

        Upright and of unit height: the middle of the eyes is moved to 0 and the middle of the mouth to (0, 1).
        """
        hidden, point_x, point_y, dense_x, dense_y, looks = reading
        # Means as products with constants: XNNPACK takes the mean of maps only.
        eye_x, eye_y = (nn.functional.linear(p, self.eye_share) for p in (point_x, point_y))
        down_x, down_y = (nn.functional.linear(p, self.mouth_share) for p in (point_x, point_y))
        down_x, down_y = down_x - eye_x, down_y - eye_y
        x = torch.cat([point_x, dense_x], dim=1) - eye_x
        y = torch.cat([point_y, dense_y], dim=1) - eye_y
        length = down_x * down_x + down_y * down_y + 1e-4  # squared
        # Five parts: LiteRT's converter flattens nested concatenations, and its delegate joins five tensors at most.
        upright = torch.cat([x * down_y - y * down_x, x * down_x + y * down_y], dim=1) / length
        return torch.cat([hidden, point_x, point_y, upright, looks], dim=1)

    def set_reading(self, reading: Tensor) -> None:
        """Scale what the encoders read to mean 0 and deviation 1 over (N, 4624) samples of :meth:`gather`.

        Who someone is shows in a hundredth of a face's width: without this the encoders hardly learn it.
        """
        self.read_mean.copy_(reading.mean(0, keepdim=True))
        self.read_gain.copy_(1 / (reading.std(0, keepdim=True) + 1e-3))

    def encode(self, reading: Reading) -> dict[str, Tensor]:
        """The "first expression" of what the trunk read: three features.

        Returns:
            ``identity`` (B, 96), ``expression`` (B, 64) and ``pose`` (B, 48).
        """
        read = (self.gather(reading) - self.read_mean) * self.read_gain
        return {
            "identity": self.identity_encoder(read),
            "expression": self.expression_encoder(read),
            # Where the points are tells the pose; how they look would only bring people into it.
            "pose": self.pose_encoder(read[:, : HIDDEN + 4 * POINTS + 2 * DENSE]),
        }

    def decode(self, identity: Tensor, expression: Tensor, pose: Tensor) -> dict[str, Tensor]:
        """Shapes of the three features.

        Returns:
            ``neutral`` and ``shape`` (with expression, before the pose) (B, 3 * V) in the topology's frame, x then y
            then z; ``pose`` (B, 7): quaternion w, x, y, z of any length, scale, shift x and y; ``vertices``
            (B, 3 * V) in fractions of the crop: x right, y down, z towards the viewer.
        """
        neutral = SHAPE_UNIT * self.identity_decoder(identity)
        read = torch.cat([expression, self.shape_reader(neutral)], dim=1)
        shape = neutral + SHAPE_UNIT * self.expression_decoder(read)
        placed = POSE_UNIT * self.pose_decoder(pose)
        return {"neutral": neutral, "shape": shape, "pose": placed, "vertices": place(shape, placed)}

    def stages(self, reading: Reading) -> dict[str, Tensor]:
        """What :meth:`decode` makes of what the trunk read, and the ``identity_feature``."""
        features = self.encode(reading)
        return {"identity_feature": features["identity"], **self.decode(**features)}

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vertices in the crop (B, V, 3), neutral face (B, V, 3) and pose (B, 7) of (B, 3, 176, 176) RGB in [0, 1]."""
        out = self.stages(self.read(image)[0])
        vertices, neutral = (out[name].reshape(-1, 3, VERTICES).transpose(1, 2) for name in ("vertices", "neutral"))
        return vertices, neutral, out["pose"]


def _looks(shares: Tensor, features: Tensor) -> Tensor:
    """Means (B, P, C) of features (B, C, 40, 40) under maps (B, P, 1600)."""
    # bmm: the operator @ expands both to a common batch first, which XNNPACK leaves out.
    return torch.bmm(shares, features.permute(0, 2, 3, 1).flatten(1, 2))


class Encoder(nn.Module):
    """A linear layer and, beside it, one with a hidden layer, added: most of what tells faces apart is linear."""

    def __init__(self, cin: int, hidden: int, cout: int) -> None:
        super().__init__()
        self.direct = nn.Linear(cin, cout)
        self.hidden = nn.Linear(cin, hidden)
        self.out = nn.Linear(hidden, cout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin) to (B, cout)."""
        y: Tensor = self.direct(x) + self.out(torch.relu(self.hidden(x)))
        return y


def place(shape: Tensor, pose: Tensor) -> Tensor:
    """Pose transform and weak perspective projection (rows R2, R3) of (B, 3 * V) shapes by (B, 7) poses."""
    count = shape.shape[1] // 3
    X, Y, Z = shape[:, :count], shape[:, count : 2 * count], shape[:, 2 * count :]
    w, x, y, z, scale, across, down = (pose[:, i : i + 1] for i in range(7))
    # Half the rotation matrix of a quaternion of any length needs no square root: products over the squared length.
    s = 2 * scale / (w * w + x * x + y * y + z * z)
    right = (scale - s * (y * y + z * z)) * X + s * (x * y - w * z) * Y + s * (x * z + w * y) * Z
    up = s * (x * y + w * z) * X + (scale - s * (x * x + z * z)) * Y + s * (y * z - w * x) * Z
    near = s * (x * z - w * y) * X + s * (y * z + w * x) * Y + (scale - s * (x * x + y * y)) * Z
    return torch.cat([across + right, down - up, near], dim=1)


class Appearance(nn.Module):
    """Colours of the vertices and the light on them; training only."""

    def __init__(self) -> None:
        super().__init__()
        self.colors = nn.Sequential(nn.Linear(IDENTITY, 32), nn.ReLU(), nn.Linear(32, 3 * VERTICES))
        self.light = nn.Linear(HIDDEN, 12)

    def forward(self, identity: Tensor, hidden: Tensor, normals: Tensor) -> Tensor:
        """(B, 3, V) RGB, about 0 to 1, of identity features, the trunk's hidden layer and (B, 3, V) unit normals."""
        albedo = 0.5 + 0.2 * self.colors(identity).reshape(-1, 3, normals.shape[2])
        light = self.light(hidden).reshape(-1, 3, 4)
        return albedo * (1 + light[:, :, :1] + light[:, :, 1:] @ normals)


def build(appearance: bool = False) -> Face3d:
    """The registered network; ``appearance`` adds what only training has."""
    return Face3d(appearance=appearance)
