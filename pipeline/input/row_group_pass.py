"""One pass over a row group: its rows are decoded in order, each once, and taken in slices."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.input.parquet_types import open_parquet

# Smaller row groups are read by one request, not by one for each column.
MAX_BYTES_AT_ONCE = 4 * 2**20


class RowGroupPass:
    """Decodes some columns of a row group from its first row on, a batch at a time.

    Besides the batch, Arrow holds a buffer of 1 MiB, a page and the dictionary of each column, or all of a small
    row group.
    """

    def __init__(
        self,
        source: pa.NativeFile,
        metadata: pq.FileMetaData,
        row_group: int,
        leaves: Sequence[int],
        int96_unit: str,
        *,
        batch_size: int,
    ) -> None:
        self.row_group = row_group
        self.position = 0
        self._source = source
        paths = [metadata.schema.column(leaf).path for leaf in leaves]
        chunks = metadata.row_group(row_group)
        num_bytes = sum(chunks.column(leaf).total_compressed_size for leaf in leaves)
        parquet = open_parquet(source, metadata, int96_unit, reads_at_once=num_bytes <= MAX_BYTES_AT_ONCE)
        # One row group at a time, as Arrow cannot read nested dictionaries across row groups.
        self._batches = parquet.iter_batches(
            batch_size=batch_size, row_groups=[row_group], columns=paths, use_threads=False
        )
        self._left: pa.RecordBatch | None = None

    def take(self, offset: int, num_rows: int) -> list[pa.RecordBatch]:
        """Rows from `offset` on, which is at `position` or after it; fewer if the row group ends."""
        taken = []
        end = offset + num_rows
        while self.position < end:
            batch = self._left or next(self._batches, None)
            if batch is None:
                break
            first = max(0, offset - self.position)
            piece = batch.slice(first, end - self.position - first)
            num_passed = min(batch.num_rows, end - self.position)
            self._left = batch.slice(num_passed) if num_passed < batch.num_rows else None
            self.position += num_passed
            if piece.num_rows:
                taken.append(piece)
        return taken

    def close(self) -> None:
        """Close the file."""
        self._source.close()
