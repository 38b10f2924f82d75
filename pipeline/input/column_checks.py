"""What an input column must be like for what reads it: there, once, and of a type that holds it."""

from difflib import get_close_matches
from textwrap import shorten

import pyarrow as pa

from pipeline.arrays.column_types import plain_type
from pipeline.arrays.nested_columns import all_paths, find_path, is_list_like, nearest_parent, path_type
from pipeline.arrays.text_columns import is_text
from pipeline.errors import InputError


def require_column(schema: pa.Schema, column: str, file: str) -> pa.DataType:
    """Type of a column of `file`, or of the field that a dotted path leads to.

    Raises InputError where it is missing, naming the nearest, or there twice.
    """
    steps = find_path(schema, column)
    if steps is None:
        raise InputError(f"{file}: column {column!r} is missing; {_what_is_there(schema, column)}")
    num_columns = len(schema.get_all_field_indices(schema.field(steps[0]).name))
    if num_columns > 1:
        raise InputError(
            f"{file}: column {schema.field(steps[0]).name!r} is there {num_columns} times, expected once; "
            "rename the others in the file"
        )
    return path_type(schema, steps)


def _what_is_there(schema: pa.Schema, column: str) -> str:
    """The nearest columns to one that is missing."""
    paths = list(all_paths(schema))
    nearest = [path for path in paths if path.casefold() == column.casefold()]
    nearest = nearest or get_close_matches(column, paths, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    above = nearest_parent(schema, column)
    if above is None:
        return f"{guess}The file has: {', '.join(schema.names)}"
    return f"{guess}{above[0]!r} has type {shorten(str(above[1]), 200, placeholder=' ...>')}"


def require_text_column(schema: pa.Schema, column: str, file: str) -> None:
    """Check that a column holds text: strings or UTF-8 bytes, plain, large, view or dictionary.

    Raises InputError where it is missing or of another type.
    """
    found = require_column(schema, column, file)
    if not is_text(found):
        raise InputError(
            f"{file}: column {column!r} has type {found}, expected string (or binary holding "
            "UTF-8); name another column, or cast it when the file is written"
        )


def require_text_list_column(schema: pa.Schema, column: str, file: str) -> None:
    """Check that a column holds lists (plain, large, fixed-size or view) of text.

    Raises InputError where it is missing or of another type.
    """
    found = require_column(schema, column, file)
    if not is_list_like(found) or not is_text(found.value_type):
        raise InputError(
            f"{file}: column {column!r} has type {found}, expected list<string> (or lists of binary "
            "holding UTF-8); name another column, or cast it when the file is written"
        )


def require_route_column(schema: pa.Schema, column: str, file: str) -> None:
    """Check that a column names heads: strings or lists of strings (or nothing but nulls).

    Raises InputError where it is missing or of another type.
    """
    found = require_column(schema, column, file)
    item = plain_type(found.value_type if is_list_like(found) else found)
    if item not in (pa.string(), pa.null()):
        raise InputError(
            f"{file}: column {column!r} has type {found}, expected string or list<string>: the names of the heads "
            "that the row wants"
        )
