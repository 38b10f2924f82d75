"""Windows over texts of any length."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrays.windows import Windows, cut_windows

Cut = tuple[int, int, int]
"""Tokens, capacity of a window, stride."""


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[Cut], int]:
    """Several texts with a stride that they share."""
    stride = draw(st.integers(0, 12))
    texts = draw(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), max_size=5))
    return [(length, capacity, stride) for length, capacity in texts], stride


def windows_of(texts: list[Cut], stride: int) -> Windows:
    lengths, capacities = (np.array([text[i] for text in texts], dtype=np.int64) for i in range(2))
    return cut_windows(lengths, capacities, stride)


def of_text(windows: Windows, text: int) -> list[tuple[range, range]]:
    """Tokens that each window of a text shows, and those that it owns."""
    here = windows.select(windows.text == text)
    shown = zip(here.begin.tolist(), here.end.tolist(), strict=True)
    owned = zip(here.owned_begin.tolist(), here.owned_end.tolist(), strict=True)
    return [(range(*a), range(*b)) for a, b in zip(shown, owned, strict=True)]


@given(cuts())
def test_windows_cover_a_text_in_order(case: tuple[list[Cut], int]) -> None:
    texts, stride = case
    windows = windows_of(texts, stride)
    assert windows.text.tolist() == sorted(windows.text.tolist())
    for text, (length, capacity, _) in enumerate(texts):
        shown = [window for window, _ in of_text(windows, text)]
        assert set().union(*shown) == set(range(length))
        assert (shown[0].start, shown[-1].stop) == (0, length)
        if len(shown) == 1:
            assert length <= capacity
            continue
        assert {len(window) for window in shown} == {capacity}
        overlaps = [before.stop - after.start for before, after in pairwise(shown)]
        overlap = min(stride, capacity // 2)
        assert set(overlaps[:-1]) <= {overlap}
        assert overlaps[-1] >= overlap
        # One window less would not do.
        assert shown[-2].stop < length


@given(cuts())
def test_each_token_is_owned_once_by_the_window_with_the_most_context(case: tuple[list[Cut], int]) -> None:
    """Context is what a window shows on the poorer side of a token; the borders of the text do not count."""
    texts, stride = case
    windows = windows_of(texts, stride)
    for text, (length, _, _) in enumerate(texts):
        found = of_text(windows, text)
        assert [token for _, owned in found for token in owned] == list(range(length))

        def context(token: int, shown: range, length: int = length) -> float:
            before = np.inf if shown.start == 0 else token - shown.start
            after = np.inf if shown.stop == length else shown.stop - 1 - token
            return min(before, after)

        for shown, owned in found:
            for token in owned:
                assert token in shown
                best = max(context(token, other) for other, _ in found if token in other)
                assert context(token, shown) == best


def test_an_empty_text_has_one_empty_window() -> None:
    windows = windows_of([(0, 5, 2), (3, 5, 2)], 2)
    assert of_text(windows, 0) == [(range(0), range(0))]
    assert of_text(windows, 1) == [(range(3), range(3))]


def test_an_example() -> None:
    """Ten tokens in windows of six that overlap by two: the last is moved back, the overlap shared."""
    windows = windows_of([(9, 6, 2)], 2)
    assert of_text(windows, 0) == [(range(6), range(4)), (range(3, 9), range(4, 9))]
