"""Convert text columns, in any of Arrow's encodings, to Python strings."""

import pyarrow as pa

from pipeline.arrays.column_types import plain_type


def is_text(type_: pa.DataType) -> bool:
    """Whether this is a string or binary type, in any encoding."""
    return plain_type(type_) in (pa.string(), pa.binary())


def text_values(column: pa.ChunkedArray) -> list[str | UnicodeDecodeError | None]:
    """The texts of a text column; a UnicodeDecodeError for a row that is not valid UTF-8.

    Arrow and Parquet do not check strings, so these can be invalid too.
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
