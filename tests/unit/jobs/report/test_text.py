"""Texts and numbers as a page shows them."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.report.text import (
    finite,
    fitted,
    limit,
    number,
    percent,
    plain_data,
    readable,
    short_number,
    shortened,
    text_width,
)

ANY_TEXT = st.text(st.characters(categories=None, codec=None))


@given(ANY_TEXT)
def test_readable_text_can_be_written_and_parsed(text: str) -> None:
    shown = readable(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert not {char for char in shown if ord(char) < 0x20} - {"\n", "\t"}
    assert readable(shown) == shown


def test_what_is_readable_stays() -> None:
    text = "Straße 北京 שלום e\u0301 \U0001f600\n\tend \u202e\u200f"
    assert readable(text) == text
    assert readable("a\r\nb\rc\x00\ud800\ufffe") == "a\nb\nc\ufffd\ufffd\ufffd"


@dataclass(frozen=True)
class _Data:
    name: str
    values: object


def test_all_strings_of_data_become_readable() -> None:
    data = _Data("a\x00", [{"k\x01": ("\x02", 3, None, 0.5)}, _Data("\ud800", frozenset())])
    inner = _Data("\ufffd", frozenset())
    assert plain_data(data) == _Data("a\ufffd", ({"k\ufffd": ("\ufffd", 3, None, 0.5)}, inner))


@given(ANY_TEXT.map(readable), st.integers(1, 20))
def test_shortened(text: str, max_chars: int) -> None:
    short = shortened(text, max_chars)
    assert len(short) <= max_chars
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@given(ANY_TEXT.map(readable), st.integers(20, 200))
def test_fitted_text_is_one_line_that_fits(text: str, width: int) -> None:
    line = fitted(text, 12, width)
    assert "\n" not in line
    assert text_width(line, 12) <= width
    assert line == " ".join(text.split()) or line.endswith("…")


def test_fitting_a_very_long_word_is_fast() -> None:
    assert len(fitted("\u0301" * 100_000, 12, 120)) < 60


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [
        (None, 1, "–"),
        ("text", 1, "text"),
        (1234567, 1, "1,234,567"),
        (85.44, 1, "85.4"),
        (1234.5, 0, "1,234"),
        (-0.0001, 2, "0.00"),
        (float("nan"), 1, "nan"),
        (float("-inf"), 1, "-inf"),
    ],
)
def test_number(value: str | float | None, decimals: int, shown: str) -> None:
    assert number(value, decimals) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (950, "950"),
        (999.4, "999"),
        (999.6, "1k"),
        (1500, "1.5k"),
        (123_456, "123k"),
        (999_999, "1M"),
        (3_400_000, "3.4M"),
        (2.5e9, "2.5G"),
        (7e13, "70T"),
        (-1500, "-1.5k"),
    ],
)
def test_short_number(value: float, shown: str) -> None:
    assert short_number(value) == shown


def test_two_digits() -> None:
    assert [short_number(value, 2) for value in (1, 99, 1_049, 1_450, 12_345, 345_678)] == [
        "1",
        "99",
        "1k",
        "1.4k",
        "12k",
        "346k",
    ]


def test_limits_of_bins_are_whole_where_short() -> None:
    assert [limit(value) for value in (0, 1024.0, 9999, 65536, 0.025, float("inf"))] == [
        "0",
        "1,024",
        "9,999",
        "65.5k",
        "0.025",
        "∞",
    ]


def test_percentages_are_0_and_100_for_none_and_all_only() -> None:
    shares = (0, 0.001, 0.5, 0.9949, 0.999, 1)
    assert [percent(share) for share in shares] == ["0 %", "<1 %", "50 %", "99 %", ">99 %", "100 %"]


def test_finite() -> None:
    assert finite(1) == 1.0
    assert [finite(value) for value in (None, float("nan"), float("inf"))] == [None] * 3
