"""The command line of ``python -m reference.train``, in groups by the family of models that an option is for."""

from __future__ import annotations

import argparse
from pathlib import Path

from reference.card import OWN_MODELS_DIR
from reference.program import program


def make_parser(about: str) -> argparse.ArgumentParser:
    """The parser of all options; every family's have names of their own."""
    parser = argparse.ArgumentParser(prog=program("reference.train"), description=about)
    parser.add_argument("model", metavar="NAME", help="a registered model, e.g. classifier or voxel64; or backbone")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR",
        help="folder with the model's training data (backbone: one or more)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder for log, checkpoint and weights (default runs/NAME)")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    _how_long(parser.add_argument_group("how long, and how often"))
    _how(parser.add_argument_group("how"))
    _pictures(parser.add_argument_group("classifier, saliency, backbone"))
    _solids(parser.add_argument_group("voxel models"))
    _faces(parser.add_argument_group("keypoints, face_detector*, face3d"))
    return parser


def _how_long(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--epochs", type=int, default=30)
    group.add_argument(
        "--minutes", type=float, default=0.0,
        help="time for the training, which then counts instead of --epochs (0: none)",
    )  # fmt: skip
    group.add_argument(
        "--patience", type=int, default=0, metavar="N", help="stop after N evaluations without a better one; 0: never"
    )
    group.add_argument(
        "--samples", type=int, default=512,
        help="samples an epoch (voxel, face_detector, backbone), scenes in all (face_detector_refined)",
    )  # fmt: skip
    group.add_argument("--evaluate-every", type=int, default=1, help="epochs between evaluations")


def _how(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--batch", type=int, default=64)
    group.add_argument("--learning-rate", type=float, default=2e-3)
    group.add_argument("--average", type=float, default=0.998, help="decay of the mean of the weights; 0: none")
    group.add_argument(
        "--init", metavar="NAME|FILE",
        help="start from these weights, e.g. backbone (voxel: another member; classifier, saliency: features)",
    )  # fmt: skip
    group.add_argument(
        "--bf16", action="store_true", help="compute in bfloat16 where that is exact enough: faster on CPUs with AMX"
    )
    group.add_argument(
        "--qat", action="store_true", help="fine-tune --init, or the stored weights, with 8 bits simulated"
    )
    group.add_argument("--device", default="auto", help="cpu, cuda or auto")
    group.add_argument("--seed", type=int, default=0)


def _pictures(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--name",
        help="make a model of your own classes from the backbone: models/NAME, ./NAME from a wheel (classifier)",
    )
    group.add_argument("--models-dir", type=Path, default=OWN_MODELS_DIR, help=argparse.SUPPRESS)
    group.add_argument(
        "--type-weight", type=float, default=0.1, help="largest weight of row I2's second loss (classifier)"
    )
    group.add_argument("--min-outline", type=float, default=0.0, help="leave out less complete drawings (classifier)")
    group.add_argument("--only-type", help="train with one image type alone, for comparison (classifier)")
    group.add_argument("--drawings", type=Path, help="folder with drawings and cartoons to cut out (saliency)")
    group.add_argument(
        "--unlabelled", type=Path, nargs="+", default=[], metavar="DIR",
        help="folders with pictures whose masks --init gives (saliency)",
    )  # fmt: skip
    group.add_argument("--width", type=float, default=1.0, help="channel multiplier; face networks: 0.75 (backbone)")


def _solids(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--objects", type=Path, help="folder with meshes to mix with heads")
    group.add_argument("--object-share", type=float, default=0.15, help="of the samples, with --objects")
    group.add_argument(
        "--bust-share", type=float, default=0.45, metavar="SHARE",
        help="of the heads, people with hair and shoulders, where makehuman_busts.npz is there",
    )  # fmt: skip
    group.add_argument("--surface-weight", type=float, default=0.0, help="of voxels at a surface, above the others")
    group.add_argument("--cache", type=Path, metavar="DIR", help="keep rendered pairs, 40 kB each at 64")
    group.add_argument("--cached", type=int, default=100_000, metavar="N", help="pairs to keep, with --cache")


def _faces(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--heads", type=Path,
        help="folder with ict_facekit.npz: faces are rendered too (keypoints, face_detector, face3d)",
    )  # fmt: skip
    group.add_argument("--rendered", type=int, default=3000, help="number of rendered faces, with --heads")
    group.add_argument(
        "--backgrounds", type=Path, nargs="+", default=[], metavar="DIR",
        help="pictures for behind rendered faces (keypoints, one folder) or without faces (face_detector*)",
    )  # fmt: skip
    group.add_argument(
        "--pretraining", type=float, default=0.4, metavar="SHARE", help="of the epochs, heads alone (face3d)"
    )
    group.add_argument("--frozen", type=float, default=0.2, metavar="SHARE", help="of the epochs, trunk stays (face3d)")
    group.add_argument("--unbalanced", action="store_true", help="without row H1's balance (hierarchical_keypoints)")
    group.add_argument("--no-copies", action="store_true", help="without row H5's second loss (likewise)")
