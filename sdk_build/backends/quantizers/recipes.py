"""Named recipes as frozen data. Standard library only, so that ``--help`` and a bundle's reader stay light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference.errors import BadInput

Ranges = Mapping[str, tuple[float, float]]

# Products that give at most so many numbers keep float weights where only weights or run-time ranges have 8 bits. They
# turn a map of shares into a place, and their weights are the places of the map's cells: 8 bits round whole rows of
# cells the same way, which moved the face of face3d by 1.3 % of the eyes' distance, and save 10 kB.
FEW_CHANNELS = 2


@dataclass(frozen=True)
class Recipe:
    """How numbers are stored and computed.

    Attributes:
        weights: ``float32``, ``float16``, ``int8`` (per output channel, symmetric), ``int4`` (per block of inputs,
            symmetric) or ``palette6`` (64 values per tensor, found by k-means).
        activations: ``float``; ``dynamic``: 8 bits with a range taken at run time; ``static``: 8 bits with a range
            from calibration.
        summary: one line for tables and cards.
    """

    name: str
    weights: str
    activations: str
    summary: str

    @property
    def needs_ranges(self) -> bool:
        """True if the recipe needs calibration."""
        return self.activations == "static"

    @property
    def quantized(self) -> bool:
        """True for fewer than 16 bits: such artifacts have limits and a budget of their own."""
        return self.weights not in ("float32", "float16")


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fp32", "float32", "float", "float32 throughout"),
        Recipe("fp16", "float16", "float", "half-precision weights"),
        Recipe("w8", "int8", "float", "int8 weights per output channel, float arithmetic"),
        Recipe("dynamic_w8", "int8", "dynamic", "int8 weights, activations to int8 at run time"),
        Recipe("w8a8", "int8", "static", "int8 weights per output channel, int8 activations with calibrated ranges"),
        Recipe(
            "w4", "int4", "float", "int4 weights per block of 8 to 32 inputs, int8 where none divides, float arithmetic"
        ),
        Recipe("p6", "palette6", "float", "weights from 64 values per tensor (Core ML palettes), float arithmetic"),
    )
}
PRECISIONS = tuple(RECIPES)
FLOAT_PRECISIONS = tuple(name for name, recipe in RECIPES.items() if not recipe.quantized)


@dataclass(frozen=True)
class Quantization:
    """What a recipe needs to know about one network.

    Attributes:
        keep_float: paths of modules that compute in float with everything in them, e.g. ``features.3``; ``""`` stands
            for the arithmetic that the network's own ``forward`` does between its modules. LiteRT and Core ML still
            store their large weights in 8 bits.
        ranges: smallest and largest value per tensor, in the names of the runtime's toolchain.
    """

    keep_float: tuple[str, ...] = ()
    ranges: Ranges = field(default_factory=dict)


FLOAT = Quantization()


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in RECIPES:
        raise BadInput(f"precision is {name!r}; allowed: {', '.join(RECIPES)}")
    return RECIPES[name]


def is_inside(path: str, units: tuple[str, ...]) -> bool:
    """True if a module path is one of ``units`` or below one; ``""`` holds only itself."""
    return any(path == unit or (unit != "" and path.startswith(f"{unit}.")) for unit in units)
