"""Every column name and Arrow type of the output, and what an input column must be like."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal, assert_never

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.head_config import (
    EmbeddingHead,
    MaskedLMLossHead,
    TextClassificationHead,
)

NUM_TOKENS = "num_tokens"
NUM_WINDOWS = "num_windows"
ERROR = "error"
RESERVED = (NUM_TOKENS, NUM_WINDOWS, ERROR)
"""Columns that every output row has: no head and no carried column can have these names."""

FRAGMENT = "__fragment"
ROW = "__row"
SEQUENCE_PREFIX = "__sequences_"
SECONDS = "__seconds"
"""Optional, float64: the seconds that the fragment took, the same value in each of its rows."""

RESERVED_FIELDS = (
    pa.field(NUM_TOKENS, pa.int32()),
    pa.field(NUM_WINDOWS, pa.int32()),
    pa.field(ERROR, pa.string()),
)

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""What a classifier predicts, by the names of `problem_type` in a Hugging Face config.json."""

_LOGITS = pa.field("logits", pa.list_(pa.float32()))
_CLASSIFICATION_TYPES: dict[ProblemType, pa.DataType] = {
    "single_label_classification": pa.struct(
        [pa.field("label", pa.string()), pa.field("score", pa.float32()), _LOGITS]
    ),
    "multi_label_classification": pa.struct(
        [
            pa.field("labels", pa.list_(pa.string())),
            pa.field("scores", pa.list_(pa.float32())),
            _LOGITS,
        ]
    ),
    "regression": pa.struct([pa.field("value", pa.float32())]),
}
_LOSS_TYPE = pa.struct(
    [
        pa.field("loss", pa.float64()),
        pa.field("nll", pa.float64()),
        pa.field("num_tokens", pa.int32()),
    ]
)


def head_type(
    head: TextClassificationHead | EmbeddingHead | MaskedLMLossHead,
    *,
    hidden_size: int,
    problem_type: ProblemType = "single_label_classification",
) -> pa.DataType:
    """Arrow type of a head's column. `problem_type` matters to text-classification only."""
    match head:
        case TextClassificationHead():
            return _CLASSIFICATION_TYPES[problem_type]
        case EmbeddingHead():
            return pa.list_(pa.float32(), hidden_size)
        case MaskedLMLossHead():
            return _LOSS_TYPE
        case _:
            assert_never(head)


def output_schema(carried: pa.Schema, head_types: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of a part: carried columns, those that every row has, then the heads in order."""
    heads = [pa.field(name, type_) for name, type_ in head_types.items()]
    return pa.schema([*carried, *RESERVED_FIELDS, *heads])


def sequence_column(index: int) -> str:
    """Name of the internal column of token ids, list<int32>, of the source of text `index`."""
    return f"{SEQUENCE_PREFIX}{index}"


def is_internal(name: str) -> bool:
    """Whether a column belongs between source and sink only, and never reaches the output."""
    return name in (FRAGMENT, ROW, SECONDS) or name.startswith(SEQUENCE_PREFIX)


def reserved_name_problem(name: str) -> str | None:
    """Why no carried column and no head can have this name, or None where one can."""
    if name in RESERVED:
        return f"is one of the columns that every output row has ({', '.join(RESERVED)})"
    if is_internal(name):
        return "is the name of an internal column"
    return None


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type without its encoding: no dictionary, no views, no 64-bit offsets."""
    if pa.types.is_dictionary(type_):
        return plain_type(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_):
        return pa.binary()
    return type_


def without_views(type_: pa.DataType) -> pa.DataType:
    """The type with string, binary and list views replaced, at any depth: Ray cannot send views."""
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(without_views(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(without_views(type_.key_type), without_views(type_.item_type))
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(_item_without_views(type_), type_.list_size)
    if pa.types.is_large_list(type_) or pa.types.is_large_list_view(type_):
        return pa.large_list(_item_without_views(type_))
    if pa.types.is_list(type_) or pa.types.is_list_view(type_):
        return pa.list_(_item_without_views(type_))
    is_view = pa.types.is_string_view(type_) or pa.types.is_binary_view(type_)
    return plain_type(type_) if is_view else type_


def _item_without_views(type_: pa.DataType) -> pa.Field:
    return type_.value_field.with_type(without_views(type_.value_type))


def require_column(schema: pa.Schema, column: str, file: str) -> pa.DataType:
    """Type of a column of `file`.

    Raises InputError where it is missing, naming the nearest column, or there twice.
    """
    indices = schema.get_all_field_indices(column)
    if len(indices) == 1:
        return schema.field(indices[0]).type
    if indices:
        raise InputError(
            f"{file}: column {column!r} is there {len(indices)} times, expected once; "
            "rename the others in the file"
        )
    nearest = get_close_matches(column, schema.names, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise InputError(f"{file}: column {column!r} is missing; {guess}The file has: {', '.join(schema.names)}")


def require_text_column(schema: pa.Schema, column: str, file: str) -> None:
    """Check that a column holds text: strings or UTF-8 bytes, plain, large, view or dictionary.

    Raises InputError where it is missing or of another type.
    """
    found = require_column(schema, column, file)
    if plain_type(found) not in (pa.string(), pa.binary()):
        raise InputError(
            f"{file}: column {column!r} has type {found}, expected string (or binary holding "
            "UTF-8); name another column, or cast it when the file is written"
        )


def require_route_column(schema: pa.Schema, column: str, file: str) -> None:
    """Check that a column names heads: strings or lists of strings (or nothing but nulls).

    Raises InputError where it is missing or of another type.
    """
    found = require_column(schema, column, file)
    is_list = pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
    item = plain_type(found.value_type if is_list else found)
    if item not in (pa.string(), pa.null()):
        raise InputError(
            f"{file}: column {column!r} (input.route) has type {found}, expected string or "
            "list<string>: the names of the heads that the row wants"
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
