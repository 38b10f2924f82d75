"""Cut a file into fragments by the encoded size of its columns, or by the decoded size where that is far larger.

The encoded size is in every footer, but a text that is repeated counts once in it: 2,048 rows of the same 5 MB are
10 GB when they are read; so does a list of equal numbers. Files are cut by the encoded size unless that makes a
fragment of more than `TOLERANCE * max_bytes` decoded, so that parts keep their names in all but such files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.fragments import Cut, RowGroup, cut_file
from pipeline.input.column_chunks import ColumnChunk, ColumnChunks
from pipeline.input.footers import Footer
from pipeline.input.thrift_compact import read_struct

TOLERANCE = 8
_ROW_GROUPS, _COLUMNS, _METADATA = 4, 1, 3  # of FileMetaData, RowGroup, ColumnChunk
_SIZE_STATISTICS, _TEXT_BYTES = 16, 1  # of ColumnMetaData, SizeStatistics
_UNCOMPRESSED_SIZE, _DICTIONARY, _NUM_VALUES = 2, 7, 1  # of PageHeader, DictionaryPageHeader
_HEADER_BYTES = 256


def cut_by_size(
    source: pa.NativeFile, footer: Footer, groups: Sequence[ColumnChunks], *, max_rows: int, max_bytes: int
) -> list[Cut]:
    """The cuts of a file; see `cut_file`. The footer is parsed once more only where texts may be repeated."""
    encoded = [RowGroup(group.num_rows, group.num_bytes) for group in groups]
    cuts = cut_file(encoded, max_rows=max_rows, max_bytes=max_bytes)
    if sum(_most_bytes(group, max_rows) for group in groups) <= TOLERANCE * max_bytes:
        return cuts
    decoded = _decoded(source, footer, groups)
    if max((_num_bytes(cut, decoded) for cut in cuts), default=0) <= TOLERANCE * max_bytes:
        return cuts
    return cut_file(decoded, max_rows=max_rows, max_bytes=max_bytes)


def _most_bytes(group: ColumnChunks, max_rows: int) -> float:
    """An upper bound for `max_rows` rows: a repeated text is at most as long as its whole chunk."""
    share = min(1.0, max_rows / max(1, group.num_rows))
    return share * sum(
        max(chunk.fixed_bytes, chunk.num_bytes * (chunk.num_values if chunk.may_repeat else 1))
        for chunk in group.chunks
    )


def _num_bytes(cut: Cut, groups: Sequence[RowGroup]) -> float:
    """The size of a cut if the rows of each row group are of equal size."""
    of_cut = [groups[index] for index in cut.row_groups]
    return sum(group.num_bytes for group in of_cut) * cut.num_rows / sum(group.num_rows for group in of_cut)


def _decoded(source: pa.NativeFile, footer: Footer, groups: Sequence[ColumnChunks]) -> list[RowGroup]:
    """The row groups in decoded bytes: by size statistics, or by the mean length of the texts in a dictionary."""
    metadata, _ = read_struct(footer.content)
    means: dict[int, float] = {}
    decoded = []
    for group, content in zip(groups, metadata[_ROW_GROUPS], strict=True):
        num_bytes = 0
        for chunk in group.chunks:
            texts: int | None = 0
            if chunk.may_repeat:
                texts = _text_bytes(content[_COLUMNS][chunk.leaf])
            if texts is None:
                if chunk.leaf not in means:
                    # One request a column: a file's row groups are alike.
                    means[chunk.leaf] = _mean_text_bytes(source, chunk)
                texts = int(chunk.num_values * means[chunk.leaf])
            num_bytes += max(chunk.num_bytes, chunk.fixed_bytes + texts)
        decoded.append(RowGroup(group.num_rows, num_bytes))
    return decoded


def _text_bytes(column: Mapping[int, Any]) -> int | None:
    """The decoded size of a chunk, which newer writers say in the footer."""
    size: int | None = column[_METADATA].get(_SIZE_STATISTICS, {}).get(_TEXT_BYTES)
    return size


def _mean_text_bytes(source: pa.NativeFile, chunk: ColumnChunk) -> float:
    """The mean length of the texts in a chunk's dictionary, by the header of its page."""
    size = min(_HEADER_BYTES, chunk.end - chunk.start)
    header, _ = read_struct(source.read_at(size, chunk.start))
    return float(header[_UNCOMPRESSED_SIZE] / max(1, header[_DICTIONARY][_NUM_VALUES]))
