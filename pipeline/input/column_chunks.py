"""The column chunks that a job reads, as the footer describes them, if the file can hold what it claims."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UnreadableFileError
from pipeline.input.footers import Footer
from pipeline.input.thrift_compact import read_struct

# Equal values take a few bytes, however many there are: run-length encoding has one run for them. So no ratio of
# rows to bytes is wrong by itself, but where there are so many, the pages must show them too.
_MANY_ROWS = 2**16
_MANY_ROWS_PER_BYTE = 8
_TEXT, _FIXED = "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8, _TEXT: 4}
_DATA_PAGE, _DATA_PAGE_V2 = 5, 8  # of PageHeader
_COMPRESSED_SIZE, _NUM_VALUES, _NUM_ROWS = 3, 1, 3  # of PageHeader, DataPageHeader, DataPageHeaderV2


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """One leaf column in one row group.

    `start` and `end` are its place in the file. `num_bytes` is uncompressed, but encoded: repeated values count
    once. `fixed_bytes` is the decoded size without texts, but with their offsets, and `may_repeat` says whether
    there are texts in a dictionary.
    """

    leaf: int
    num_values: int
    start: int
    end: int
    num_bytes: int
    fixed_bytes: int
    may_repeat: bool


@dataclass(frozen=True, slots=True)
class ColumnChunks:
    """The chunks that are read of one row group."""

    num_rows: int
    chunks: tuple[ColumnChunk, ...]

    @property
    def num_bytes(self) -> int:
        """Uncompressed bytes, encoded."""
        return sum(chunk.num_bytes for chunk in self.chunks)


def column_chunks(source: pa.NativeFile, footer: Footer, leaves: Sequence[int]) -> list[ColumnChunks]:
    """The chunks of some leaf columns, by row group.

    Raises UnreadableFileError if the file cannot hold them. Where a footer claims very many rows for its bytes,
    page headers are read from `source`.
    """
    metadata = footer.metadata
    widths = {leaf: _width(metadata.schema.column(leaf)) for leaf in leaves}
    groups = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if group.num_columns != metadata.num_columns or group.num_rows < 0:
            raise UnreadableFileError(
                f"damaged footer: row group {index} has {group.num_columns} columns and {group.num_rows} rows, "
                f"expected {metadata.num_columns} columns"
            )
        chunks = tuple(_chunk(group, leaf, widths[leaf]) for leaf in leaves)
        groups.append(ColumnChunks(group.num_rows, chunks))
        _refuse_outside(groups[-1], index, footer)
    num_rows = sum(group.num_rows for group in groups)
    if num_rows != metadata.num_rows:
        raise UnreadableFileError(
            f"damaged footer: its row groups have {num_rows} rows, expected {metadata.num_rows} as the file"
        )
    for index, read in enumerate(groups):
        _refuse_missing_rows(source, read, index)
    return groups


def _width(column: pq.ColumnSchema) -> int:
    """Bytes of a decoded value; of texts, those of its offset."""
    return column.length if column.physical_type == _FIXED else _WIDTHS[column.physical_type]


def _chunk(group: pq.RowGroupMetaData, leaf: int, width: int) -> ColumnChunk:
    column = group.column(leaf)
    start, num_values = column.data_page_offset, column.num_values
    # As in Arrow: some writers give an offset of 0 where there is no dictionary.
    has_dictionary = column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < start
    if has_dictionary:
        start = column.dictionary_page_offset
    return ColumnChunk(
        leaf,
        num_values,
        start,
        start + column.total_compressed_size,
        column.total_uncompressed_size,
        num_values * width,
        has_dictionary and column.physical_type == _TEXT,
    )


def _refuse_outside(group: ColumnChunks, index: int, footer: Footer) -> None:
    for chunk in group.chunks if group.num_rows else ():
        name = footer.metadata.schema.column(chunk.leaf).path
        if not 0 <= chunk.start <= chunk.end <= footer.data_end or chunk.num_bytes < 0:
            raise UnreadableFileError(
                f"damaged footer: column {name!r} of row group {index} is at bytes {chunk.start} to {chunk.end} "
                f"({chunk.num_bytes} uncompressed), expected within the {footer.data_end} bytes before the footer"
            )
        if chunk.num_values < group.num_rows:
            raise UnreadableFileError(
                f"damaged footer: column {name!r} of row group {index} has {chunk.num_values} values, expected at "
                f"least one for each of {group.num_rows} rows"
            )


def _refuse_missing_rows(source: pa.NativeFile, group: ColumnChunks, index: int) -> None:
    """Raise UnreadableFileError if the largest chunk is small for its rows, and its pages do not have them."""
    largest = max(group.chunks, key=lambda chunk: chunk.end - chunk.start, default=None)
    if largest is None:
        return
    num_bytes = largest.end - largest.start
    if group.num_rows <= max(_MANY_ROWS, _MANY_ROWS_PER_BYTE * num_bytes):
        return
    try:
        num_rows = sum(_rows_of_pages(source.read_at(num_bytes, largest.start)))
    except (LookupError, RecursionError, TypeError):
        raise UnreadableFileError(f"damaged: the pages of row group {index} cannot be told apart") from None
    if num_rows < group.num_rows:
        raise UnreadableFileError(
            f"damaged: the pages of row group {index} have {num_rows} rows, expected {group.num_rows} as in the "
            "footer"
        )


def _rows_of_pages(chunk: bytes) -> Iterable[int]:
    """The number of values, thus of rows or more, of each page of a chunk."""
    at = 0
    while at < len(chunk):
        header, at = read_struct(chunk, at)
        at += max(0, header[_COMPRESSED_SIZE])
        if _DATA_PAGE in header:
            yield header[_DATA_PAGE][_NUM_VALUES]
        elif _DATA_PAGE_V2 in header:
            yield header[_DATA_PAGE_V2][_NUM_ROWS]
