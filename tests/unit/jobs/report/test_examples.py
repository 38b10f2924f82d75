"""How many examples a page shows, and what its filters offer."""

from collections.abc import Sequence

import pytest

pytest.importorskip("markupsafe")
from markupsafe import Markup

from jobs.report.examples import MAX_EXAMPLES, MAX_TEXT_CHARS, Field, shown_examples
from jobs.report.page import Column, Examples

COLUMNS = [Column("text"), Column("language"), Column("score", is_numeric=True, decimals=2)]


def block(rows: Sequence[tuple[str, str | None, float]], num_total: int | None = None) -> Examples:
    return Examples("t", COLUMNS, rows, filters=("language",), texts=("text",), num_total=num_total)


def plain(fields: Sequence[Field], choices: Sequence[int]) -> Markup:
    """An example as one line."""
    return Markup("|".join([*(f"{field.name}={field.value}{field.note}" for field in fields), str(list(choices))]))


def test_texts_come_last_and_are_cut_with_their_length_said() -> None:
    shown = shown_examples(block([("x" * 100_000, "de", 0.456)]), plain, 10_000)
    text = "x" * (MAX_TEXT_CHARS - 1) + "…"
    assert shown.items == (f"language=de|score=0.46|text={text}100,000 characters in all|[0]",)


def test_no_more_than_the_bound() -> None:
    rows = [("t", "de", 0.0)] * (MAX_EXAMPLES + 50)
    shown = shown_examples(block(rows), plain, 10**9)
    assert len(shown.items) == MAX_EXAMPLES
    assert shown.num_total == MAX_EXAMPLES + 50
    assert shown_examples(block(rows, num_total=5000), plain, 10**9).num_total == 5000


def test_no_more_than_the_budget_of_bytes() -> None:
    rows = [("北" * 100, "zh", 0.0)] * 20
    size = len(shown_examples(block(rows[:1]), plain, 10**9).items[0].encode("utf-8"))
    assert size > 300
    assert len(shown_examples(block(rows), plain, 7 * size).items) == 7
    assert len(shown_examples(block(rows), plain, 7 * size - 1).items) == 6
    assert shown_examples(block(rows), plain, 0).items == ()


def test_filters_offer_what_is_shown_with_how_often() -> None:
    rows = [("t", language, 0.0) for language in ("sw", "de", "sw", None, "  ", "zz")]
    size = len(plain([Field("text", "t", True, ""), Field("language", "sw", False, "")], [0]))
    shown = shown_examples(block(rows), plain, 5 * (size + len("|score=0.00") + 2))
    options = {option.text: (option.key, option.count) for option in shown.filters["language"]}
    assert {text: count for text, (_, count) in options.items()} == {"(empty)": 1, "de": 1, "sw": 2, "–": 1}
    keys = [int(item.rpartition("[")[2].rstrip("]")) for item in shown.items]
    assert keys == [options[text][0] for text in ("sw", "de", "sw", "–", "(empty)")]
