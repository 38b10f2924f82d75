"""Every column name and Arrow type of the output, and what an input column must be like."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from textwrap import shorten

import pyarrow as pa

from pipeline.arrays.column_types import plain_type
from pipeline.arrays.nested_columns import all_paths, find_path, is_list_like, nearest_parent, path_type
from pipeline.errors import InputError

NUM_TOKENS = "num_tokens"
NUM_WINDOWS = "num_windows"
ERROR = "error"
RESERVED = (NUM_TOKENS, NUM_WINDOWS, ERROR)
"""Columns that every output row has: no head and no carried column can have these names."""

FRAGMENT = "__fragment"
ROW = "__row"
FAILURE = "__failure"
"""string: in place of all other columns of a fragment that failed, what happened, as JSON."""
WANTED = "__wanted"
"""fixed_size_list<bool>[heads]: which heads a row asks for."""
SEQUENCE_PREFIX = "__sequences_"
CONTEXT_PREFIX = "__context_"

RESERVED_FIELDS = (
    pa.field(NUM_TOKENS, pa.int32()),
    pa.field(NUM_WINDOWS, pa.int32()),
    pa.field(ERROR, pa.string()),
)

CASE_IS_FOLDED = "DuckDB, Spark and other readers take such names for one"
"""Why no two names in the output may differ only in case."""


def output_schema(carried: pa.Schema, head_types: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of a part: carried columns, those that every row has, then the heads in order."""
    heads = [pa.field(name, type_) for name, type_ in head_types.items()]
    return pa.schema([*carried, *RESERVED_FIELDS, *heads])


def sequence_column(spec: int) -> str:
    """Name of the internal column of windows of spec number `spec` among those of a job's heads."""
    return f"{SEQUENCE_PREFIX}{spec}"


def context_column(spec: int) -> str:
    """Name of the internal column with what decoding needs of that spec beside its windows."""
    return f"{CONTEXT_PREFIX}{spec}"


def is_encoded(name: str) -> bool:
    """Whether a column is what encoding hands to the annotator."""
    return name == WANTED or name.startswith((SEQUENCE_PREFIX, CONTEXT_PREFIX))


def is_internal(name: str) -> bool:
    """Whether a column belongs between source and sink only, and never reaches the output."""
    return name in (FRAGMENT, ROW, FAILURE) or is_encoded(name)


def reserved_name_problem(name: str) -> str | None:
    """Why no carried column and no head can have this name, or None where one can."""
    if name in RESERVED:
        return f"is one of the columns that every output row has ({', '.join(RESERVED)})"
    if name.casefold() in RESERVED:
        return f"differs only in case from {name.casefold()!r}, which every output row has; {CASE_IS_FOLDED}"
    if is_internal(name):
        return "is the name of an internal column"
    return None


def equal_but_for_case(names: Iterable[str]) -> list[tuple[str, str]]:
    """Each name that differs only in case from an earlier one, after the first that it does so from."""
    first: dict[str, str] = {}
    pairs = ((first.setdefault(name.casefold(), name), name) for name in names)
    return [(earlier, name) for earlier, name in dict.fromkeys(pairs) if earlier != name]


def is_text(type_: pa.DataType) -> bool:
    """Whether values are strings, or bytes that may be UTF-8, in any encoding."""
    return plain_type(type_) in (pa.string(), pa.binary())


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


def text_values(column: pa.ChunkedArray) -> list[str | UnicodeDecodeError | None]:
    """The texts of a text column; in the place of a row that is no valid UTF-8, the error.

    Arrow and Parquet do not check the bytes of strings, so strings too can be invalid.
    """
    if pa.types.is_dictionary(column.type):
        return [text for chunk in column.chunks for text in _dictionary_values(chunk)]
    if plain_type(column.type) == pa.string():
        try:
            texts: list[str | UnicodeDecodeError | None] = column.to_pylist()
            return texts
        except UnicodeDecodeError:
            is_large = pa.types.is_large_string(column.type)
            column = column.cast(pa.large_binary() if is_large else pa.binary())
    return [_decoded(value) for value in column.to_pylist()]


def _dictionary_values(array: pa.DictionaryArray) -> list[str | UnicodeDecodeError | None]:
    values = text_values(pa.chunked_array([array.dictionary]))
    return [None if index is None else values[index] for index in array.indices.to_pylist()]


def _decoded(value: bytes | None) -> str | UnicodeDecodeError | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        return error
