"""Windows over texts of any length, and where very long texts are cut before they are tokenized."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrays.windows import Windows, cut_windows, pieces_of_text

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


TEXTS = st.text(st.sampled_from("abc <>mask\n\u3000\x85\x1f語é"), max_size=300)


@given(TEXTS, st.integers(20, 60))
def test_pieces_of_a_text_are_bounded_and_lose_nothing(text: str, max_chars: int) -> None:
    offsets = pieces_of_text(text, max_chars)
    assert (offsets[0], offsets[-1]) == (0, len(text))
    assert "".join(text[begin:end] for begin, end in pairwise(offsets)) == text
    assert all(0 < end - begin <= max_chars for begin, end in pairwise(offsets)) or not text
    assert len(offsets) == 2 or len(text) > max_chars


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a" * 95 + " " + "b" * 60, 95, id="before the blank"),
        pytest.param("a" * 100 + " " + "b" * 60, 100, id="a blank just behind"),
        pytest.param("a" * 93 + "  " + "b" * 60, 94, id="before the last of several"),
        pytest.param("a" * 80 + " " + "b" * 60, 100, id="no blank in the last tenth"),
        pytest.param("a" * 95 + "\u3000" + "b" * 60, 95, id="ideographic space"),
        pytest.param("a" * 95 + "\x85" + "b" * 60, 100, id="white space that the tokenizer drops"),
        pytest.param("語" * 97 + "<mask>" + "語" * 60, 97, id="before a mask"),
        pytest.param("語" * 94 + "<mask>" + "語" * 60, 100, id="behind a mask"),
        pytest.param("語" * 100 + "<mask>" + "語" * 60, 100, id="just before a mask"),
    ],
)
def test_where_a_long_text_is_cut(text: str, expected: int) -> None:
    assert pieces_of_text(text, 100)[1] == expected
