"""The layers that are emulated: Apple's name of a layer -> function over torch tensors.

Contract: ``values`` holds the layer's inputs, the other arguments its settings under Apple's names, numbers as
tensors. A setting that a function doesn't take is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sdk_build.mil.neural_network.boundary import BOUNDARY_LAYERS
from sdk_build.mil.neural_network.control import CONTROL_LAYERS
from sdk_build.mil.neural_network.general import GENERAL_LAYERS
from sdk_build.mil.neural_network.indexing import INDEXING_LAYERS
from sdk_build.mil.neural_network.pointwise import POINTWISE_LAYERS
from sdk_build.mil.neural_network.recurrent import RECURRENT_LAYERS
from sdk_build.mil.neural_network.spatial import SPATIAL_LAYERS
from sdk_build.mil.neural_network.volume import VOLUME_LAYERS

LAYERS: Mapping[str, Callable[..., Any]] = {
    **BOUNDARY_LAYERS,
    **CONTROL_LAYERS,
    **GENERAL_LAYERS,
    **INDEXING_LAYERS,
    **POINTWISE_LAYERS,
    **RECURRENT_LAYERS,
    **SPATIAL_LAYERS,
    **VOLUME_LAYERS,
}
