"""Truncation of sequences and pairs, and overflow windows: pure functions on lengths."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

TruncationStrategy = Literal["longest_first", "only_first", "only_second", "do_not_truncate"]
Side = Literal["left", "right"]

TRUNCATION_STRATEGIES: tuple[TruncationStrategy, ...] = get_args(TruncationStrategy)


def truncation_strategy(
    truncation: bool | str | None, *, max_length: int | None, pads: bool
) -> TruncationStrategy:
    """Parse the argument `truncation`.

    True is "longest_first"; so is None if `max_length` is given without padding, as in Transformers. Raises
    ValueError for an unknown name.
    """
    if truncation is None:
        truncation = max_length is not None and not pads
    if isinstance(truncation, bool):
        return "longest_first" if truncation else "do_not_truncate"
    for strategy in TRUNCATION_STRATEGIES:
        if truncation == strategy:
            return strategy
    raise ValueError(
        f"truncation: found {truncation!r}, expected a boolean or one of {', '.join(TRUNCATION_STRATEGIES)}"
    )


def longest_first(
    first: NDArray[np.int64], second: NDArray[np.int64], budget: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths [n] of both parts after truncating the longer one, and then both evenly.

    If both are truncated and `budget` is odd, the longer part (the second if equal) keeps the odd token, as in the
    released fast tokenizer.
    """
    short = np.minimum(first, second)
    cut_long = np.where(short > budget, short, np.maximum(short, budget - short))
    both = short + cut_long > budget
    short = np.where(both, budget // 2, short)
    cut_long = np.where(both, budget - budget // 2, cut_long)
    fits = first + second <= budget
    swapped = first > second
    return (
        np.where(fits, first, np.where(swapped, cut_long, short)),
        np.where(fits, second, np.where(swapped, short, cut_long)),
    )


def part_lengths(
    strategy: TruncationStrategy, first: int, second: int | None, budget: int | None
) -> tuple[int, int]:
    """How many tokens each part of a sequence keeps; `second` is None without a pair.

    `budget` counts tokens without special ones; None or "do_not_truncate" keeps everything.
    Raises ValueError if the strategy cannot reach the budget.
    """
    total = first + (second or 0)
    if budget is None or strategy == "do_not_truncate" or total <= budget:
        return first, second or 0
    if strategy == "longest_first":
        if second is None:
            return budget, 0
        cut_first, cut_second = longest_first(np.array([first]), np.array([second]), budget)
        return int(cut_first[0]), int(cut_second[0])
    if strategy == "only_second" and second is None:
        raise ValueError("truncation: only_second needs a text_pair; use only_first for one text")
    excess = total - budget
    target = first if strategy == "only_first" else second or 0
    if target <= excess:
        raise ValueError(
            f"truncation: {strategy} has to take {excess} tokens from a part of {target}; "
            "raise max_length or use longest_first"
        )
    return (first - excess, second or 0) if strategy == "only_first" else (first, target - excess)


def window_ranges(length: int, max_length: int, stride: int = 0, side: Side = "right") -> list[tuple[int, int]]:
    """Half-open ranges of at most `max_length` tokens that cover `length` and overlap by `stride`.

    The first range is what truncation keeps, the others are its overflow. Ranges go forward from the beginning, or
    backward from the end when truncating on the left. Raises ValueError for a stride outside [0, max_length).
    """
    if length <= max_length:
        return [(0, length)]
    if max_length == 0:
        return [(0, 0)]
    if not 0 <= stride < max_length:
        raise ValueError(
            f"stride: found {stride}, expected 0 to {max_length - 1}: "
            f"{max_length} tokens are left beside the special tokens and the other text"
        )
    step = max_length - stride
    num_windows = -(-(length - max_length) // step) + 1
    starts = [index * step for index in range(num_windows)]
    ranges = [(start, min(start + max_length, length)) for start in starts]
    if side == "left":
        return [(length - end, length - start) for start, end in ranges]
    return ranges
