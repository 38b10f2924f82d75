"""Results that are not finite, found before anything is made of them. Pure functions.

An argmax, a comparison, a sort or a conversion to int8 makes a plausible value of NaN. So what ranks return is
checked as it is: before windows are merged, labels chosen and vectors quantized.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.batching.result_collector import HeadOutputCollector
from pipeline.heads.resolve import Head
from pipeline.tasks.contract import HeadOutput

NOT_FINITE = (
    "the result is not finite (NaN or infinity), as where a model overflows in float16; set model.dtype = "
    '"bfloat16" or "float32", or use another checkpoint if it is one of these'
)


def not_finite_sequences(head: Head, collected: HeadOutputCollector) -> dict[int, str]:
    """By sequence of the fragment, why what the ranks returned of it for this head cannot be used."""
    found: dict[int, str] = {}
    for values, places in zip(collected.values, collected.places, strict=True):
        for reason, is_unfit in _checks(head, values):
            found = dict.fromkeys(places.sequence[is_unfit].tolist(), reason) | found
    return found


def _checks(head: Head, values: HeadOutput) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each reason, and whether it holds for each entry, `[n]`. Booleans say themselves whether all was finite."""
    for array in values:
        if array.dtype == np.bool_:
            yield NOT_FINITE, ~array.astype(np.bool_)
        elif np.issubdtype(array.dtype, np.floating):
            yield NOT_FINITE, ~(_largest(array) <= head.task.max_magnitude)
    yield from head.task.unusable(head.options, values)


def _largest(values: NDArray[np.generic]) -> NDArray[np.floating]:
    """The largest absolute number of each entry, `[n]`; NaN where there is one."""
    largest: NDArray[np.floating] = np.abs(values.reshape(len(values), -1)).max(axis=1, initial=0)
    return largest
