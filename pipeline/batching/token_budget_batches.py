"""Sequences -> token-budget batches, longest first. Pure functions."""

import numpy as np
from numpy.typing import NDArray


def plan_batches(lengths: NDArray[np.integer], token_budget: int) -> list[NDArray[np.int64]]:
    """Cut sequences into batches of at most `token_budget` tokens.

    Longest first, so that a batch that does not fit in memory shows at once, and neighbours are of nearly
    equal length; equal lengths stay in order, so that the plan depends on the lengths alone.

    Args:
        lengths: `[num_sequences]`, tokens of each sequence. One that is longer than the budget is a batch alone.

    Returns:
        indices of the sequences of each batch.
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
