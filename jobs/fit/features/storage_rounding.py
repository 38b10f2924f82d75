"""What storing features in float16 moves."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jobs.fit.features.feature_parts import FeatureParts
from jobs.fit.fitted_head import FittedHead


def largest_change(
    head: FittedHead, exact: FeatureParts, scales: Mapping[int, NDArray[np.float32] | None]
) -> float:
    """The largest change of a logit where features are rounded as they were stored.

    Args:
        exact: features in fp32 of some rows.
        scales: by layer, float32 `[size]`.
    """
    rows = np.flatnonzero(exact.is_there())
    most = 0.0
    for blocks in zip(*(exact.blocks(layer, rows) for layer in head.layers), strict=True):
        rounded = [_rounded(block, scales[layer]) for block, layer in zip(blocks, head.layers, strict=True)]
        change = np.abs(head.logits(rounded) - head.logits(blocks)).max(initial=0)
        most = max(most, float(change) / head.temperature)
    return most


def _rounded(block: NDArray[np.float32], scale: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return block if scale is None else (block / scale).astype(np.float16).astype(np.float32) * scale
