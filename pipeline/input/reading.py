"""Read the rows of fragments from their Parquet files, only the columns that are needed."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline.arrays.casting import cast_column
from pipeline.arrays.nested_columns import column_at, find_path, leaf_indices
from pipeline.errors import FragmentError, UnreadableFileError
from pipeline.fragments import Fragment
from pipeline.input.footers import read_footer, version_mark
from pipeline.input.hive_partitions import partition_values
from pipeline.input.int96 import OTHER_UNITS, UNIT, are_equal, int96_leaves
from pipeline.input.parquet_types import arrow_schema
from pipeline.input.row_group_pass import RowGroupPass
from pipeline.storage.access_errors import access_error_in, access_remedy
from pipeline.storage.retries import retry_transient

# So small a file of a store is read by one request, with its footer.
_WHOLE_BYTES = 2 * 2**20
_REMEDY = "restore the file, or take it out of the input"


class FragmentReader:
    """Reads fragments with the columns and types of `schema`.

    Slices of one row group, read in order, are decoded in one pass: each row once. A slice that cannot be read
    ends the pass, and the next one begins another.
    """

    def __init__(self, schema: pa.Schema, filesystem: fs.FileSystem) -> None:
        self._schema = schema
        self._filesystem = filesystem
        self._version: tuple[str, str] | None = None
        # Its mark and its metadata, which need not be read again as long as the mark stays.
        self._known: tuple[str, pq.FileMetaData] | None = None
        self._opened: pa.NativeFile | None = None
        self._passes: dict[tuple[str, tuple[int, ...]], RowGroupPass] = {}

    def read(self, fragment: Fragment) -> pa.Table:
        """The rows of a fragment in file order, in one chunk.

        Transient errors are retried. Raises FragmentError if the file is gone, has changed since planning, or is
        damaged.
        """
        try:
            return retry_transient(lambda: self._attempt(fragment))
        except FragmentError:
            raise
        except (UnreadableFileError, pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
        except Exception as error:  # Arrow raises errors of many types; a message may contain a row's text
            reason = type(error).__name__
        refused = access_error_in(reason)
        remedy = _REMEDY if refused is None else access_remedy(refused)
        raise FragmentError(f"{_rows_of(fragment)} cannot be read: {reason}; {remedy}")

    def close(self) -> None:
        """Close the files of all passes."""
        self._known = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        while self._passes:
            self._passes.popitem()[1].close()

    def _attempt(self, fragment: Fragment) -> pa.Table:
        try:
            return self._read(fragment)
        except BaseException:
            self.close()
            raise

    def _read(self, fragment: Fragment) -> pa.Table:
        if self._version != (fragment.path, fragment.version):
            self.close()
            self._version = fragment.path, fragment.version
        columns = self._columns(self._metadata(fragment), fragment)
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _metadata(self, fragment: Fragment) -> pq.FileMetaData:
        """The metadata of a fragment's file, which must not have changed, not even during a pass.

        It is read again for each fragment, unless a store says by an ETag that the file is still the same.
        """
        source = self._filesystem.open_input_file(fragment.path)
        try:
            mark = version_mark(source, None)
            if mark and self._known is not None and self._known[0] == mark:
                source.close()
                return self._known[1]
            if mark and source.size() <= _WHOLE_BYTES:
                remote, source = source, pa.BufferReader(source.read_buffer())
                remote.close()
            footer = read_footer(source)
            if footer.version != fragment.version:
                raise FragmentError(
                    f"{fragment.path}: the file has changed since the job was planned: it has "
                    f"{footer.file_size} bytes and {footer.metadata.num_rows} rows, and had "
                    f"{fragment.file_size} bytes; run the job again on files that stay as they are"
                )
        except BaseException:
            source.close()
            raise
        self._known = mark, footer.metadata
        self._keep(source)
        return footer.metadata

    def _keep(self, source: pa.NativeFile) -> None:
        """Keep an open file for the next pass, as a store is asked for the size of each file that is opened."""
        if self._opened is not None:
            self._opened.close()
        self._opened = source

    def _columns(self, metadata: pq.FileMetaData, fragment: Fragment) -> list[pa.ChunkedArray]:
        """The columns of a fragment by name or dotted path, from its file or else from its Hive partition."""
        own = arrow_schema(metadata)
        in_file = {name for name in self._schema.names if find_path(own, name) is not None}
        leaves = leaf_indices(own, in_file)
        table = self._rows(metadata, fragment, leaves)
        timestamps = int96_leaves(metadata).intersection(leaves)
        for name in table.column_names if timestamps else ():
            of_column = [leaf for leaf in leaf_indices(own, [name]) if leaf in leaves]
            if timestamps.intersection(of_column):
                self._check_int96(metadata, fragment, of_column, table.select([name]))
        folders = {} if len(in_file) == len(self._schema) else partition_values(fragment.relative_path)
        return [
            _one_chunk(column_at(table, field.name), field)
            if field.name in in_file
            else pa.chunked_array([pa.repeat(pa.scalar(folders[field.name], pa.string()), fragment.num_rows)])
            for field in self._schema
        ]

    def _check_int96(
        self, metadata: pq.FileMetaData, fragment: Fragment, leaves: Sequence[int], table: pa.Table
    ) -> None:
        """Raise FragmentError if INT96 timestamps in one column were truncated or have overflowed."""
        [name] = table.column_names
        for unit in OTHER_UNITS:
            other = self._rows(metadata, fragment, leaves, unit)
            chunks = zip(table[name].chunks, other[name].chunks, strict=True)
            if not all(are_equal(one, two) for one, two in chunks):
                raise FragmentError(
                    f"{fragment.path}: column {name!r}, rows {fragment.first_row} to "
                    f"{fragment.first_row + fragment.num_rows - 1}: timestamps in INT96 have nanoseconds, or "
                    "years beyond 292,000, expected what microseconds hold; write the file with another type, or "
                    "list the columns to carry, without it, in input.columns"
                )

    def _rows(
        self, metadata: pq.FileMetaData, fragment: Fragment, leaves: Sequence[int], int96_unit: str = UNIT
    ) -> pa.Table:
        offset = fragment.row_group_offset
        pieces: list[pa.RecordBatch] = []
        num_left = fragment.num_rows
        for row_group in fragment.row_groups:
            rows = self._pass(metadata, fragment, row_group, offset, leaves, int96_unit)
            pieces += rows.take(offset, num_left)
            num_left = fragment.num_rows - sum(piece.num_rows for piece in pieces)
            offset = 0
        if num_left:
            raise FragmentError(
                f"{_rows_of(fragment)} cannot be read: found {fragment.num_rows - num_left} rows in the pages, "
                f"expected {fragment.num_rows} as in the footer; {_REMEDY}"
            )
        return pa.Table.from_batches(pieces)

    def _pass(
        self,
        metadata: pq.FileMetaData,
        fragment: Fragment,
        row_group: int,
        offset: int,
        leaves: Sequence[int],
        int96_unit: str,
    ) -> RowGroupPass:
        """The pass that is under way, or a new one."""
        key = int96_unit, tuple(leaves)
        found = self._passes.get(key)
        if found is not None and found.row_group == row_group and found.position <= offset:
            return found
        if found is not None:
            found.close()
        source, self._opened = self._opened or self._filesystem.open_input_file(fragment.path), None
        self._passes[key] = RowGroupPass(
            source, metadata, row_group, leaves, int96_unit, batch_size=fragment.num_rows
        )
        return self._passes[key]


def _rows_of(fragment: Fragment) -> str:
    last_row = fragment.first_row + fragment.num_rows - 1
    return f"{fragment.path}: rows {fragment.first_row} to {last_row}"


def _one_chunk(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return pa.table({field.name: cast_column(column, field.type)}).combine_chunks().column(0)
    except pa.ArrowException as error:
        raise pa.ArrowInvalid(f"column {field.name!r}: {error}") from None
