"""Results that are not finite, found before anything is made of them. Pure functions.

An argmax, a comparison, a sort or a conversion to int8 makes a plausible value of NaN. So what ranks return is
checked as it is: before windows are merged, labels chosen and vectors quantized.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.batching.result_collector import Collected
from pipeline.heads.resolve import Head
from pipeline.tasks.all_tasks import EmbeddingHead, HeadConfig, QuestionAnsweringHead

NOT_FINITE = (
    "the result is not finite (NaN or infinity), as where a model overflows in float16; set model.dtype = "
    '"bfloat16" or "float32", or use another checkpoint if it is one of these'
)
NOT_FINITE_IN_FLOAT16 = (
    "the vector is not finite in float16, whose numbers end at 65504; set dtype = "
    '"float32" or normalize = true for this head'
)
# From here on the nearest float16 is infinite.
_FLOAT16_END = 65520.0


def not_finite_sequences(head: Head, collected: Collected) -> dict[int, str]:
    """By sequence of the fragment, why what the ranks returned of it for this head cannot be used."""
    found: dict[int, str] = {}
    for values, places in zip(collected.values, collected.places, strict=True):
        for reason, is_unfit in _checks(head.options, values):
            found = dict.fromkeys(places.sequence[is_unfit].tolist(), reason) | found
    return found


def _checks(
    options: HeadConfig, values: tuple[NDArray[np.generic], ...]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each reason, and whether it holds for each entry, `[n]`. Booleans say themselves whether all was finite."""
    largest_allowed = np.finfo(np.float32).max
    if isinstance(options, QuestionAnsweringHead):
        largest_allowed /= 2  # the score is the sum of two logits
    for array in values:
        if array.dtype == np.bool_:
            yield NOT_FINITE, ~array.astype(np.bool_)
        elif np.issubdtype(array.dtype, np.floating):
            yield NOT_FINITE, ~(_largest(array) <= largest_allowed)
    if isinstance(options, EmbeddingHead) and options.dtype == "float16" and not options.normalize:
        yield NOT_FINITE_IN_FLOAT16, ~(_largest(values[0][:, : options.dimensions]) < _FLOAT16_END)


def _largest(values: NDArray[np.generic]) -> NDArray[np.floating]:
    """The largest absolute number of each entry, `[n]`; NaN where there is one."""
    largest: NDArray[np.floating] = np.abs(values.reshape(len(values), -1)).max(axis=1, initial=0)
    return largest
