"""Reads the rows of one fragment, and no other bytes of columns that are not wanted."""

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline.errors import FragmentError, UnreadableFileError
from pipeline.footers import read_footer
from pipeline.fragments import Fragment

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
            table = _read_rows(source, footer.metadata, fragment, schema.names)
        return table.select(schema.names).cast(schema).combine_chunks()
    except (UnreadableFileError, pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise FragmentError(
            f"{fragment.path}: rows {fragment.first_row} to "
            f"{fragment.first_row + fragment.num_rows - 1} cannot be read: {reason}; restore the "
            "file, or take it out of the input"
        ) from None


def _read_rows(
    source: pa.NativeFile, metadata: pq.FileMetaData, fragment: Fragment, columns: list[str]
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
        columns=columns,
        use_threads=False,
    ):
        piece = batch.slice(num_skipped, num_wanted)
        num_skipped = max(0, num_skipped - batch.num_rows)
        num_wanted -= piece.num_rows
        pieces.append(piece)
        if num_wanted == 0:
            break
    return pa.Table.from_batches(pieces)
