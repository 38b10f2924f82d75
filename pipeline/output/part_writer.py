"""Encode a finished fragment as Parquet, deterministically, and write it as a part."""

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays.casting import cast_column
from pipeline.errors import OutputError
from pipeline.output.output_folder import OutputFolder


@dataclass(frozen=True)
class WrittenPart:
    """Size and SHA-256 (hex) of a written part."""

    num_bytes: int
    sha256: str


def write_part(table: pa.Table, folder: OutputFolder, path: str, compression: str = "zstd") -> WrittenPart:
    """Write a table as a part. Raises OutputError, and then leaves nothing."""
    data = encode_part(table, compression)
    folder.put(path, data)
    return WrittenPart(data.size, hashlib.sha256(data).hexdigest())


def encode_part(table: pa.Table, compression: str) -> pa.Buffer:
    """A table as a Parquet file of one row group; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    # Chunks and schema metadata would change the bytes.
    table = table.replace_schema_metadata(None).combine_chunks()
    pq.write_table(
        table,
        sink,
        row_group_size=max(1, table.num_rows),
        compression=compression,
        use_dictionary=_dictionary_columns(table.schema),
        write_page_checksum=True,
    )
    return sink.getvalue()


def _dictionary_columns(schema: pa.Schema) -> list[str]:
    """Parquet paths of the columns to encode with a dictionary: all but floats, which rarely repeat."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    metadata = pq.read_metadata(pa.BufferReader(sink.getvalue()))
    columns = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    return [c.path for c in columns if c.physical_type not in ("FLOAT", "DOUBLE")]


def conform(table: pa.Table, schema: pa.Schema, part_path: str) -> pa.Table:
    """The table with the columns, order and types of the output schema. Raises OutputError if it does not fit."""
    missing = [name for name in schema.names if name not in table.column_names]
    unknown = [name for name in table.column_names if name not in schema.names]
    if missing or unknown or len(table.column_names) != len(schema.names):
        raise OutputError(
            f"{part_path}: the block lacks columns {missing} and has {unknown} too many; expected {schema.names}"
        )
    columns = []
    for field in schema:
        try:
            columns.append(cast_column(table[field.name], field.type))
        except pa.ArrowException:
            # Arrow's message may contain the value.
            raise OutputError(
                f"{part_path}: column {field.name!r} has type {table[field.name].type}, which does "
                f"not fit the type of the output, {field.type}"
            ) from None
    return pa.Table.from_arrays(columns, schema=schema)
