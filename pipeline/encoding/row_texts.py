"""Read texts and lists of texts from columns; what is wrong with a row is a `Problem` in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrays.nested_columns import column_at, is_list_like
from pipeline.arrays.text_columns import is_text, text_values
from pipeline.row_errors import BLANK, EMPTY, EMPTY_LIST, HAS_TYPE, HOLDS_NAME, NOT_UTF8, NULL

_TEXT = "text"
_TEXTS = "a list of texts"
_ROUTE = "names of heads"


@dataclass(frozen=True)
class Problem:
    """What is wrong with one row of a column, without the row's content; `found` is a phrase like "is null"."""

    column: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"column {self.column!r} {self.found}, expected {self.expected}"


def text_field(table: pa.Table, path: str, *, allow_blank: bool = False) -> list[str | Problem]:
    """The text of each row at `path`; a Problem if it is null, not UTF-8 or not text.

    Also if it is empty or blank, unless `allow_blank`. Raises KeyError if the table has no such column.
    """
    column = column_at(table, path)
    if not _is_text_or_null(column.type):
        return [Problem(path, f"{HAS_TYPE} {column.type}", _TEXT)] * len(column)
    return [_checked(value, path, allow_blank) for value in text_values(column)]


def text_list_field(table: pa.Table, path: str, *, allow_blank: bool = False) -> list[list[str] | Problem]:
    """The list of texts of each row at `path`.

    A Problem if the list is null or empty, or one of its texts is null, not UTF-8 or, unless `allow_blank`, empty
    or blank. Raises KeyError if the table has no such column.
    """
    column = column_at(table, path)
    if pa.types.is_null(column.type):
        return [Problem(path, NULL, _TEXTS)] * len(column)
    if not is_list_like(column.type) or not _is_text_or_null(column.type.value_type):
        return [Problem(path, f"{HAS_TYPE} {column.type}", "list<string>")] * len(column)
    return [_checked_list(values, path, allow_blank) for values in _lists(column)]


class FragmentTexts:
    """`text_field` and `text_list_field` of a fragment, cached: each column is read and checked only once."""

    def __init__(self, table: pa.Table) -> None:
        self.num_rows: int = table.num_rows
        self.text = cache(partial(text_field, table))
        self.text_list = cache(partial(text_list_field, table))

    def text_columns(self, paths: Sequence[str]) -> list[list[str] | Problem]:
        """The texts of several columns as a list for each row; or its first Problem."""
        rows = zip(*(self.text(path) for path in paths), strict=True)
        return [
            next((value for value in row if isinstance(value, Problem)), [v for v in row if isinstance(v, str)])
            for row in rows
        ]


def route_field(table: pa.Table, path: str) -> list[list[str] | Problem | None]:
    """The heads that each row names at `path`, as a string or a list of strings; None for a null.

    A Problem if a name is null or not UTF-8. Raises KeyError if the table has no such column.
    """
    column = column_at(table, path)
    if pa.types.is_null(column.type):
        return [None] * len(column)
    if is_list_like(column.type):
        lists = _lists(column)
    else:
        lists = [None if value is None else [value] for value in text_values(column)]
    return [None if names is None else _checked_names(names, path) for names in lists]


def _is_text_or_null(type_: pa.DataType) -> bool:
    return is_text(type_) or pa.types.is_null(type_)


def _lists(column: pa.ChunkedArray) -> list[list[str | UnicodeDecodeError | None] | None]:
    """The lists of a column; None for a null."""
    lists: list[list[str | UnicodeDecodeError | None] | None] = []
    for chunk in column.chunks:
        items = iter(text_values(pa.chunked_array([pc.list_flatten(chunk)])))
        lengths = pc.list_value_length(chunk).to_pylist()
        lists += [None if length is None else list(islice(items, length)) for length in lengths]
    return lists


def _checked(value: str | UnicodeDecodeError | None, path: str, allow_blank: bool) -> str | Problem:
    if isinstance(value, str) and (allow_blank or value.strip()):
        return value
    return Problem(path, _fault(value), _TEXT)


def _checked_list(
    values: list[str | UnicodeDecodeError | None] | None, path: str, allow_blank: bool
) -> list[str] | Problem:
    if values is None:
        return Problem(path, NULL, _TEXTS)
    if not values:
        return Problem(path, EMPTY_LIST, _TEXTS)
    texts: list[str] = []
    for index, value in enumerate(values):
        if not isinstance(value, str) or not (allow_blank or value.strip()):
            return Problem(path, f"{_fault(value)} at index {index}", _TEXTS)
        texts.append(value)
    return texts


def _checked_names(names: list[str | UnicodeDecodeError | None], path: str) -> list[str] | Problem:
    checked: list[str] = []
    for name in names:
        if not isinstance(name, str):
            return Problem(path, f"{HOLDS_NAME} {_fault(name)}", _ROUTE)
        checked.append(name)
    return checked


def _fault(value: str | UnicodeDecodeError | None) -> str:
    """What is wrong with a value that is not a text, or blank."""
    if value is None:
        return NULL
    if isinstance(value, UnicodeDecodeError):
        return f"{NOT_UTF8} (byte {value.start})"
    return BLANK if value else EMPTY
