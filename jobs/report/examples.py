"""Which examples a page has room for, and how their texts are cut."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jobs.report.page import Cell, Examples
from jobs.report.text import number, shortened

MAX_EXAMPLES = 300
MAX_BYTES = 1_000_000
"""Of HTML, for all examples of a page together."""
MAX_TEXT_CHARS = 600
MAX_VALUE_CHARS = 120
MAX_OPTION_CHARS = 60


@dataclass(frozen=True)
class Field:
    """One value of an example. `note` says how long a text was that has been cut."""

    name: str
    value: str
    is_text: bool
    note: str


@dataclass(frozen=True)
class Option:
    """A value that a filter offers, the number that stands for it, and how many of the examples have it."""

    key: int
    text: str
    count: int


@dataclass(frozen=True)
class ShownExamples:
    """What a page shows of examples: their HTML, by filter its options, and how many rows there are in all."""

    items: tuple[Markup, ...]
    filters: dict[str, tuple[Option, ...]]
    num_total: int


def shown_examples(
    block: Examples, render: Callable[[Sequence[Field], Sequence[int]], Markup], max_bytes: int
) -> ShownExamples:
    """As many of the first rows as there is room for.

    `render` gives the HTML of a row from its fields and, for each filter, the key of its option.
    """
    rows = block.rows[:MAX_EXAMPLES]
    texts = {name: [_option_text(block, name, row) for row in rows] for name in block.filters}
    keys = {name: {text: key for key, text in enumerate(sorted(set(column)))} for name, column in texts.items()}
    items: list[Markup] = []
    num_bytes = 0
    for index, row in enumerate(rows):
        item = render(_fields(block, row), [keys[name][texts[name][index]] for name in block.filters])
        num_bytes += len(item.encode("utf-8"))
        if num_bytes > max_bytes:
            break
        items.append(item)
    counts = {name: Counter(column[: len(items)]) for name, column in texts.items()}
    filters = {
        name: tuple(
            Option(key, text, counts[name][text]) for text, key in keys[name].items() if counts[name][text]
        )
        for name in block.filters
    }
    return ShownExamples(tuple(items), filters, max(len(block.rows), block.num_total or 0))


def _fields(block: Examples, row: Sequence[Cell]) -> list[Field]:
    """Short values first, then texts, each in the order of the columns."""
    fields = []
    for column, cell in zip(block.columns, row, strict=True):
        is_text = column.name in block.texts
        text = number(cell, column.decimals)
        value = shortened(text, MAX_TEXT_CHARS if is_text else MAX_VALUE_CHARS)
        note = "" if value == text else f"{len(text):,} characters in all"
        fields.append(Field(column.name, value, is_text, note))
    return sorted(fields, key=lambda field: field.is_text)


def _option_text(block: Examples, name: str, row: Sequence[Cell]) -> str:
    """A value as a filter shows it."""
    index = [column.name for column in block.columns].index(name)
    text = shortened(number(row[index], block.columns[index].decimals), MAX_OPTION_CHARS)
    return text if text.strip() else "(empty)"
