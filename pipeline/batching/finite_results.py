"""Find NaN and infinity in the results of ranks.

This comes before windows are merged, labels chosen and vectors quantized, as an argmax, a comparison, a sort or a
conversion to int8 would turn NaN into a plausible value.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.batching.result_collector import HeadOutputCollector
from pipeline.heads.resolve import Head
from pipeline.row_errors import NOT_FINITE as IS_NOT_FINITE
from pipeline.tasks.contract import HeadOutput

NOT_FINITE = (
    f"the result {IS_NOT_FINITE} (NaN or infinity), as where a model overflows in float16; set model.dtype = "
    '"bfloat16" or "float32", or use another checkpoint if it is one of these'
)


def not_finite_sequences(head: Head, collected: HeadOutputCollector) -> dict[int, str]:
    """By sequence of the fragment, why the results of this head for it cannot be used."""
    found: dict[int, str] = {}
    for values, places in zip(collected.values, collected.places, strict=True):
        for reason, is_unfit in _checks(head, values):
            found = dict.fromkeys(places.sequence[is_unfit].tolist(), reason) | found
    return found


def _checks(head: Head, values: HeadOutput) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each reason, with the entries `[n]` that it applies to. Boolean results say whether all was finite."""
    for array in values:
        if array.dtype == np.bool_:
            yield NOT_FINITE, ~array.astype(np.bool_)
        elif np.issubdtype(array.dtype, np.floating):
            largest: NDArray[np.floating] = np.abs(array.reshape(len(array), -1)).max(axis=1, initial=0)
            # Not ">", which is false for NaN.
            yield NOT_FINITE, ~(largest <= head.task.max_magnitude)
    yield from head.task.unusable(head.options, values)
