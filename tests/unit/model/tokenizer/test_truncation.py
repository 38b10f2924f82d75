"""Lengths after truncation, and windows: against definitions one can check by eye."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tokenizer.truncation import (
    Side,
    TruncationStrategy,
    longest_first,
    part_lengths,
    truncation_strategy,
    window_ranges,
)

lengths = st.integers(0, 40)


def one_by_one(first: int, second: int, budget: int) -> tuple[int, int]:
    """Takes a token from the longer part until both fit; the part longer at first is cut last."""
    second_was_shorter = second < first
    while first + second > budget:
        if first > second or (first == second and not second_was_shorter):
            first -= 1
        else:
            second -= 1
    return first, second


@given(pairs=st.lists(st.tuples(lengths, lengths), max_size=8), budget=lengths)
def test_longest_first_takes_from_the_longer_part(pairs: list[tuple[int, int]], budget: int) -> None:
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    kept = longest_first(first, second, budget)
    assert list(zip(*(part.tolist() for part in kept), strict=True)) == [
        one_by_one(a, b, budget) for a, b in pairs
    ]


@given(length=st.integers(0, 60), size=st.integers(1, 20), data=st.data())
def test_windows_cover_the_sequence_and_overlap_by_the_stride(length: int, size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(0, size - 1))
    ranges = window_ranges(length, size, stride)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == length
    assert all(end - begin == size for begin, end in ranges[:-1])
    assert 0 <= ranges[-1][1] - ranges[-1][0] <= size
    for (_, end), (begin, _) in pairwise(ranges):
        assert end - begin == stride
    mirrored = window_ranges(length, size, stride, "left")
    assert mirrored == [(length - end, length - begin) for begin, end in ranges]


def test_windows_that_make_no_headway_are_refused() -> None:
    assert window_ranges(5, 0) == [(0, 0)]
    assert window_ranges(3, 3, stride=9) == [(0, 3)]
    for stride in (3, 4, -1):
        with pytest.raises(ValueError, match=f"stride: found {stride}, expected 0 to 2"):
            window_ranges(4, 3, stride)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_window_of_everything_is_one(side: Side) -> None:
    assert window_ranges(7, 7, 2, side) == [(0, 7)]


@pytest.mark.parametrize(
    ("strategy", "first", "second", "budget", "kept"),
    [
        ("longest_first", 9, None, 4, (4, 0)),
        ("longest_first", 9, 3, 8, (5, 3)),
        ("longest_first", 9, 8, 7, (4, 3)),
        ("longest_first", 8, 8, 7, (3, 4)),
        ("only_first", 9, None, 4, (4, 0)),
        ("only_first", 9, 3, 8, (5, 3)),
        ("only_second", 3, 9, 8, (3, 5)),
        ("only_second", 3, None, 8, (3, 0)),
        ("do_not_truncate", 9, 3, 8, (9, 3)),
        ("longest_first", 9, 3, None, (9, 3)),
    ],
)
def test_strategies(
    strategy: TruncationStrategy,
    first: int,
    second: int | None,
    budget: int | None,
    kept: tuple[int, int],
) -> None:
    assert part_lengths(strategy, first, second, budget) == kept


@pytest.mark.parametrize(
    ("strategy", "first", "second", "message"),
    [
        ("only_first", 2, 9, "only_first has to take 3 tokens from a part of 2"),
        ("only_first", 3, 8, "only_first has to take 3 tokens from a part of 3"),
        ("only_second", 9, 2, "only_second has to take 3 tokens from a part of 2"),
        ("only_second", 11, None, "only_second needs a text_pair"),
    ],
)
def test_a_strategy_that_cannot_reach_the_budget_is_refused(
    strategy: TruncationStrategy, first: int, second: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        part_lengths(strategy, first, second, budget=8)


def test_arguments_stand_for_strategies() -> None:
    assert truncation_strategy(True, max_length=None, pads=True) == "longest_first"
    assert truncation_strategy(False, max_length=8, pads=False) == "do_not_truncate"
    assert truncation_strategy(None, max_length=8, pads=False) == "longest_first"
    assert truncation_strategy(None, max_length=8, pads=True) == "do_not_truncate"
    assert truncation_strategy("only_second", max_length=8, pads=True) == "only_second"
