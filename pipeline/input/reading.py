"""Read the rows of one fragment from its Parquet file, only the columns that are needed."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline.arrays.casting import cast_column
from pipeline.arrays.nested_columns import column_at, find_path, leaf_indices
from pipeline.errors import FragmentError, UnreadableFileError
from pipeline.fragments import Fragment
from pipeline.input.footers import read_footer
from pipeline.input.hive_partitions import partition_values
from pipeline.input.int96 import OTHER_UNITS, UNIT, are_equal, int96_leaves
from pipeline.input.parquet_types import arrow_schema, open_parquet
from pipeline.storage.retries import retry_transient


def read_fragment(fragment: Fragment, schema: pa.Schema, filesystem: fs.FileSystem) -> pa.Table:
    """The rows of a fragment in file order, with the columns and types of `schema`, in one chunk.

    Transient errors are retried. Raises FragmentError if the file is gone, has changed since planning, or is
    damaged.
    """
    try:
        return retry_transient(lambda: _read_fragment(fragment, schema, filesystem))
    except (UnreadableFileError, pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise FragmentError(
            f"{fragment.path}: rows {fragment.first_row} to "
            f"{fragment.first_row + fragment.num_rows - 1} cannot be read: {reason}; restore the "
            "file, or take it out of the input"
        ) from None


def _read_fragment(fragment: Fragment, schema: pa.Schema, filesystem: fs.FileSystem) -> pa.Table:
    with filesystem.open_input_file(fragment.path) as source:
        footer = read_footer(source)
        if footer.version != fragment.version:
            raise FragmentError(
                f"{fragment.path}: the file has changed since the job was planned: it has "
                f"{footer.file_size} bytes and {footer.metadata.num_rows} rows, and had "
                f"{fragment.file_size} bytes; run the job again on files that stay as they are"
            )
        columns = _read_columns(source, footer.metadata, fragment, schema)
    return pa.Table.from_arrays(columns, schema=schema)


def _read_columns(
    source: pa.NativeFile, metadata: pq.FileMetaData, fragment: Fragment, schema: pa.Schema
) -> list[pa.ChunkedArray]:
    """The columns of a fragment by name or dotted path, from its file or else from its Hive partition."""
    own = arrow_schema(metadata)
    in_file = {name for name in schema.names if find_path(own, name) is not None}
    leaves = leaf_indices(own, in_file)
    table = _read_rows(source, metadata, fragment, leaves)
    timestamps = int96_leaves(metadata).intersection(leaves)
    for name in table.column_names if timestamps else ():
        of_column = [leaf for leaf in leaf_indices(own, [name]) if leaf in leaves]
        if timestamps.intersection(of_column):
            _check_int96(source, metadata, fragment, of_column, table.select([name]))
    folders = {} if len(in_file) == len(schema) else partition_values(fragment.relative_path)
    return [
        _one_chunk(column_at(table, field.name), field)
        if field.name in in_file
        else pa.chunked_array([pa.repeat(pa.scalar(folders[field.name], pa.string()), fragment.num_rows)])
        for field in schema
    ]


def _one_chunk(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return pa.table({field.name: cast_column(column, field.type)}).combine_chunks().column(0)
    except pa.ArrowException as error:
        raise pa.ArrowInvalid(f"column {field.name!r}: {error}") from None


def _check_int96(
    source: pa.NativeFile, metadata: pq.FileMetaData, fragment: Fragment, leaves: Sequence[int], table: pa.Table
) -> None:
    """Raise FragmentError if INT96 timestamps in one column were truncated or have overflowed."""
    [name] = table.column_names
    for unit in OTHER_UNITS:
        other = _read_rows(source, metadata, fragment, leaves, unit)
        chunks = zip(table[name].chunks, other[name].chunks, strict=True)
        if not all(are_equal(one, two) for one, two in chunks):
            raise FragmentError(
                f"{fragment.path}: column {name!r}, rows {fragment.first_row} to "
                f"{fragment.first_row + fragment.num_rows - 1}: timestamps in INT96 have nanoseconds, or years "
                "beyond 292,000, expected what microseconds hold; write the file with another type, or list the "
                "columns to carry, without it, in input.columns"
            )


def _read_rows(
    source: pa.NativeFile,
    metadata: pq.FileMetaData,
    fragment: Fragment,
    leaves: Sequence[int],
    int96_unit: str = UNIT,
) -> pa.Table:
    """Decode the row groups of a fragment, up to its last row."""
    paths = [metadata.schema.column(leaf).path for leaf in leaves]
    file = open_parquet(source, metadata, int96_unit)
    num_skipped, num_wanted = fragment.row_group_offset, fragment.num_rows
    pieces = []
    # One row group at a time, as Arrow cannot read nested dictionaries across row groups.
    for row_group in fragment.row_groups:
        for batch in file.iter_batches(
            batch_size=fragment.num_rows, row_groups=[row_group], columns=paths, use_threads=False
        ):
            piece = batch.slice(num_skipped, num_wanted)
            num_skipped = max(0, num_skipped - batch.num_rows)
            num_wanted -= piece.num_rows
            pieces.append(piece)
            if num_wanted == 0:
                return pa.Table.from_batches(pieces)
    return pa.Table.from_batches(pieces)
