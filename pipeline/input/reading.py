"""Reads the rows of one fragment, and no other bytes of columns that are not wanted."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline.arrays.nested_columns import column_at, find_path, leaf_indices, without_list_views
from pipeline.errors import FragmentError, UnreadableFileError
from pipeline.fragments import Fragment
from pipeline.input.footers import read_footer
from pipeline.input.hive_partitions import partition_values

_BUFFER_BYTES = 2**20


def read_fragment(fragment: Fragment, schema: pa.Schema, filesystem: fs.FileSystem) -> pa.Table:
    """The rows of a fragment in file order, with the columns and types of `schema`, in one chunk.

    Raises FragmentError where the file is gone, has changed since planning, or is damaged.
    """
    try:
        with filesystem.open_input_file(fragment.path) as source:
            footer = read_footer(source)
            if footer.version != fragment.version:
                raise FragmentError(
                    f"{fragment.path}: the file has changed since the job was planned: it has "
                    f"{footer.file_size} bytes and {footer.metadata.num_rows} rows, and had "
                    f"{fragment.file_size} bytes; run the job again on files that stay as they are"
                )
            columns = _read_columns(source, footer.metadata, fragment, schema.names)
        return pa.table(columns, names=schema.names).cast(schema).combine_chunks()
    except (UnreadableFileError, pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise FragmentError(
            f"{fragment.path}: rows {fragment.first_row} to "
            f"{fragment.first_row + fragment.num_rows - 1} cannot be read: {reason}; restore the "
            "file, or take it out of the input"
        ) from None


def _read_columns(
    source: pa.NativeFile, metadata: pq.FileMetaData, fragment: Fragment, names: Sequence[str]
) -> list[pa.ChunkedArray | pa.Array]:
    """The columns of a fragment by name or dotted path: from its file, or else from the names of its folders."""
    own = metadata.schema.to_arrow_schema()
    in_file = {name for name in names if find_path(own, name) is not None}
    leaves = [metadata.schema.column(leaf).path for leaf in leaf_indices(own, in_file)]
    table = _read_rows(source, metadata, fragment, leaves)
    folders = {} if len(in_file) == len(names) else partition_values(fragment.relative_path)
    return [
        without_list_views(column_at(table, name))
        if name in in_file
        else pa.repeat(pa.scalar(folders[name], pa.string()), fragment.num_rows)
        for name in names
    ]


def _read_rows(
    source: pa.NativeFile, metadata: pq.FileMetaData, fragment: Fragment, leaves: list[str]
) -> pa.Table:
    """Decode the row groups of a fragment from their start, up to its last row and no further.

    Buffered column by column, so that a slice at the start of a large row group costs no more than
    its own pages.
    """
    file = pq.ParquetFile(
        source,
        metadata=metadata,
        buffer_size=_BUFFER_BYTES,
        pre_buffer=False,
        page_checksum_verification=True,
    )
    num_skipped, num_wanted = fragment.row_group_offset, fragment.num_rows
    pieces = []
    for batch in file.iter_batches(
        batch_size=fragment.num_rows,
        row_groups=list(fragment.row_groups),
        columns=leaves,
        use_threads=False,
    ):
        piece = batch.slice(num_skipped, num_wanted)
        num_skipped = max(0, num_skipped - batch.num_rows)
        num_wanted -= piece.num_rows
        pieces.append(piece)
        if num_wanted == 0:
            break
    return pa.Table.from_batches(pieces)
