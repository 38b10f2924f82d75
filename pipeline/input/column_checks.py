"""Check that an input column is there, once, and of a type that can be read as text or as names of heads."""

from difflib import get_close_matches
from textwrap import shorten
from typing import Literal

import pyarrow as pa

from pipeline.arrays.column_types import plain_type
from pipeline.arrays.nested_columns import all_paths, find_path, is_list_like, nearest_parent, path_type
from pipeline.arrays.text_columns import is_text
from pipeline.errors import InputError
from pipeline.tasks.sections import Shape

_REMEDY = "name another column, or cast it when the file is written"


def require_column(schema: pa.Schema, column: str, file: str) -> pa.DataType:
    """The type of the column or nested field at a path.

    Raises InputError if it is missing, with a suggestion, or there twice.
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
    """A suggestion for a missing column, and the columns of the file or the type of the field above."""
    paths = list(all_paths(schema))
    nearest = [path for path in paths if path.casefold() == column.casefold()]
    nearest = nearest or get_close_matches(column, paths, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    above = nearest_parent(schema, column)
    if above is None:
        return f"{guess}{'The' if guess else 'the'} file has: {', '.join(schema.names)}"
    return f"{guess}{above[0]!r} has type {shorten(str(above[1]), 200, placeholder=' ...>')}"


def require_shape(schema: pa.Schema, column: str, file: str, shape: Shape | Literal["heads"]) -> None:
    """Check that a column holds text (string or binary), lists of text, or names of heads, in any encoding.

    Raises InputError if it is missing or has another type.
    """
    found = require_column(schema, column, file)
    item = found.value_type if is_list_like(found) else found
    match shape:
        case "text":
            fits, expected = is_text(found), f"string (or binary holding UTF-8); {_REMEDY}"
        case "list of text":
            fits = is_list_like(found) and is_text(item)
            expected = f"list<string> (or lists of binary holding UTF-8); {_REMEDY}"
        case "heads":
            fits = plain_type(item) in (pa.string(), pa.null())
            expected = "string or list<string>: the names of the heads that the row wants"
    if not fits:
        raise InputError(f"{file}: column {column!r} has type {found}, expected {expected}")
