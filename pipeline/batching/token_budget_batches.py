"""Group sequences into batches of a token budget, longest first."""

import numpy as np
from numpy.typing import NDArray


def plan_batches(lengths: NDArray[np.integer], token_budget: int) -> list[NDArray[np.int64]]:
    """The indices of the sequences of each batch of at most `token_budget` tokens.

    The longest come first, so that running out of memory shows at once; the order is stable. A sequence of
    `lengths` `[num_sequences]` that exceeds the budget is a batch of its own.
    """
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    ends = np.cumsum(lengths[order].astype(np.int64))
    batches = []
    begin = 0
    while begin < len(order):
        tokens_before = ends[begin - 1] if begin else 0
        end = int(np.searchsorted(ends, tokens_before + token_budget, side="right"))
        end = max(end, begin + 1)
        batches.append(order[begin:end])
        begin = end
    return batches
