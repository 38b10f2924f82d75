"""The Arrow types of a Parquet file's columns, and whether they can be written back unchanged."""

from collections.abc import Iterator, Sequence
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays.column_types import all_fields, carried_field, inner_fields, nullable, with_inner
from pipeline.input.int96 import UNIT

_NONE, _ENUM, _VARIANT = "NONE", "ENUM", "VARIANT"
_BUFFER_BYTES = 2**20


def open_parquet(
    source: pa.NativeFile, metadata: pq.FileMetaData, int96_unit: str = UNIT, *, reads_at_once: bool = False
) -> pq.ParquetFile:
    """An open file with the types of `arrow_schema`, except for ENUM.

    Columns are buffered separately, so that a slice at the start of a large row group reads only its own pages;
    or, with `reads_at_once`, all columns of a row group are read by few requests and kept in memory.
    """
    return pq.ParquetFile(
        source,
        metadata=metadata,
        buffer_size=_BUFFER_BYTES,
        pre_buffer=reads_at_once,
        page_checksum_verification=True,
        coerce_int96_timestamp_unit=int96_unit,
        arrow_extensions_enabled=True,
    )


def arrow_schema(metadata: pq.FileMetaData) -> pa.Schema:
    """The columns of a file as carried fields: UUID and JSON are extension types, ENUM is string."""
    schema = open_parquet(pa.BufferReader(b""), metadata).schema_arrow
    annotations = iter(leaf_annotations(metadata))
    return pa.schema([_with_enums(carried_field(field), annotations) for field in schema])


def leaf_annotations(metadata: pq.FileMetaData) -> tuple[str, ...]:
    """The Parquet logical type of each leaf column; VARIANT for all leaves within one."""
    schema = metadata.schema
    annotations = [str(schema.column(i).logical_type.type) for i in range(metadata.num_columns)]
    # Arrow shows logical types of groups only in the text: a line for each node, indented by its depth.
    text = str(schema)
    if "(Variant(" in text:
        for leaf in _leaves_of_variants(text):
            annotations[leaf] = _VARIANT
    return tuple(annotations)


def writing_problem(field: pa.Field, annotations: Sequence[str]) -> str | None:
    """Why a column with leaves of these logical types cannot be written back unchanged, or None.

    Nulls are written and read again, and must have the same types, in Arrow and in Parquet.
    """
    type_ = field.type
    inner_types = [inner.type for inner in all_fields(field)]
    if any(pa.types.is_fixed_size_list(inner) and inner.list_size == 0 for inner in inner_types):
        return f"has type {type_}, and Arrow cannot read lists of size 0"
    written = _written(type_)
    if isinstance(written, str):
        return f"has type {type_}, which cannot be written: {written}"
    for found, kept in zip(annotations, written, strict=True):
        if found != _NONE and kept == _NONE:
            return f"has the Parquet type {found}, which Arrow would write as {type_}"
    return None


@cache
def _written(type_: pa.DataType) -> tuple[str, ...] | str:
    """The logical types of the leaves after writing a column of this type, or why it cannot be written."""
    field = nullable(pa.field("column", type_))
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(pa.Table.from_arrays([pa.nulls(2, field.type)], schema=pa.schema([field])), sink)
        with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as file:
            found = carried_field(file.read().schema.field(0))
            annotations = leaf_annotations(file.metadata)
    except (pa.ArrowException, OSError) as error:
        return str(error).partition("\n")[0]
    return annotations if found.type == field.type else f"it would come out as {found.type}"


def _with_enums(field: pa.Field, annotations: Iterator[str]) -> pa.Field:
    type_ = field.type
    if isinstance(type_, pa.BaseExtensionType):
        _with_enums(pa.field(field.name, type_.storage_type), annotations)
        return field
    if inner_fields(type_):
        return field.with_type(with_inner(type_, lambda inner: _with_enums(inner, annotations)))
    is_enum = next(annotations) == _ENUM and pa.types.is_binary(type_)
    return field.with_type(pa.string()) if is_enum else field


def _leaves_of_variants(text: str) -> Iterator[int]:
    leaf, variant_depth = 0, None
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if variant_depth is not None and depth <= variant_depth:
            variant_depth = None
        if variant_depth is None and "(Variant(" in line and line.endswith("{"):
            variant_depth = depth
        if line.endswith(";"):
            if variant_depth is not None:
                yield leaf
            leaf += 1
