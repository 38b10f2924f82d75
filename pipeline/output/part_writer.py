"""Encode a finished fragment as Parquet, deterministically, and write it as a part."""

import hashlib
from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays.casting import cast_column
from pipeline.errors import OutputError
from pipeline.fragments import Fragment
from pipeline.output.manifest import Manifest, PartRecord
from pipeline.output.output_folder import OutputFolder
from pipeline.output.versions import versions
from pipeline.row_errors import ErrorKind


def finish_part(
    folder: OutputFolder,
    fragment: Fragment,
    data: pa.Buffer | bytes,
    *,
    staged_inputs: Collection[str],
    num_errors: int,
    num_tokens: int,
    num_windows: int | None = None,
    errors: Mapping[ErrorKind, int] | None = None,
) -> PartRecord:
    """Write the part of a fragment, and then its record, which makes it done; returns the record.

    `staged_inputs`: input files whose parts are to be staged. `num_windows` and `errors` (by kind) are recorded in
    outputs of format 2 only. Raises OutputError.
    """
    manifest = Manifest(folder)
    manifest.announce(fragment.part_path)
    is_staged = fragment.relative_path in staged_inputs
    folder.put(folder.path_of(fragment, is_staged=is_staged), data)
    record = PartRecord(
        part_path=fragment.part_path,
        input_path=fragment.relative_path,
        input_version=fragment.version,
        input_mark=fragment.mark,
        first_row=fragment.first_row,
        num_rows=fragment.num_rows,
        num_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        num_errors=num_errors,
        num_tokens=num_tokens,
        versions=versions(),
        num_windows=num_windows,
        errors=None if errors is None else dict(errors),
    )
    manifest.record(record, is_staged=is_staged)
    return record


def encode_part(table: pa.Table, compression: str, metadata: Mapping[str, str] | None = None) -> pa.Buffer:
    """A table as a Parquet file of one row group; equal tables give equal bytes. `metadata` is of the schema."""
    sink = pa.BufferOutputStream()
    # Chunks and metadata of the input's schema would change the bytes.
    table = table.replace_schema_metadata(dict(metadata) if metadata else None).combine_chunks()
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
