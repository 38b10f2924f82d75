"""Plan one file: read its footer, describe its columns, and cut it into fragments.

This runs in a process of its own, as footers may crash Arrow: its values can be pickled, its imports are few.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline.arrays.column_types import packed
from pipeline.arrays.nested_columns import find_path, leaf_indices, path_field
from pipeline.errors import UnreadableFileError
from pipeline.input.column_chunks import ColumnChunks, column_chunks
from pipeline.input.cutting import cut_by_size
from pipeline.input.footers import Footer, read_footer, version_mark
from pipeline.input.found_files import InputFile
from pipeline.input.fragment_table import FileCuts, PlannedFile
from pipeline.input.hive_partitions import holds_only
from pipeline.input.parquet_types import arrow_schema, leaf_annotations, writing_problem
from pipeline.input.read_columns import ReadColumns


@dataclass(frozen=True)
class FileColumns:
    """The columns of files as `packed` fields, and those that cannot be carried, with the reason."""

    schema: bytes
    unwritable: Mapping[str, str]

    @property
    def digest(self) -> bytes:
        """Equal for equal columns."""
        return hashlib.sha256(repr((self.schema, sorted(self.unwritable.items()))).encode()).digest()


@dataclass(frozen=True)
class FilePlan:
    """What planning needs of a readable file: `columns` is the digest of its columns, which most files share.

    `conflicts` is as of `FileSchema`.
    """

    file: PlannedFile
    columns: bytes
    conflicts: tuple[str, ...]
    cuts: FileCuts


@dataclass
class Planner:
    """Plans files of one job. `file_columns` has the columns of all files so far, by digest."""

    filesystem: fs.FileSystem
    columns: ReadColumns
    max_rows: int
    max_bytes: int
    file_columns: dict[bytes, FileColumns] = field(default_factory=dict)
    _known: dict[tuple[bytes | None, str], tuple[pa.Schema, bytes]] = field(default_factory=dict)

    def plan(self, file: InputFile, partition: Mapping[str, str | None]) -> FilePlan:
        """The plan of a file; Raises UnreadableFileError, or any error of Arrow or the file system."""
        with self.filesystem.open_input_file(file.path) as source:
            footer = read_footer(source)
            mark = version_mark(source, file.mtime_ns)
            schema, columns = self._columns(footer.metadata)
            leaves = leaf_indices(schema, self.columns.names(schema.names))
            _refuse_encrypted(footer, leaves)
            cuts = cut_by_size(
                source,
                footer,
                _chunks(source, footer, leaves),
                max_rows=self.max_rows,
                max_bytes=self.max_bytes,
            )
        planned = PlannedFile(file.path, file.relative_path, footer.file_size, footer.version, mark)
        return FilePlan(planned, columns, _conflicts(footer, schema, partition), FileCuts.of(cuts))

    def _columns(self, metadata: pq.FileMetaData) -> tuple[pa.Schema, bytes]:
        # The serialized schema, as parsing it takes most of the time; the first line of the text is an address.
        key = ((metadata.metadata or {}).get(b"ARROW:schema"), str(metadata.schema).partition("\n")[2])
        if key not in self._known:
            schema, annotations = arrow_schema(metadata), leaf_annotations(metadata)
            unwritable = _unwritable(schema, annotations, self.columns.carried_of(schema.names))
            columns = FileColumns(packed(schema), unwritable)
            digest = columns.digest
            self.file_columns[digest] = columns
            self._known[key] = schema, digest
        return self._known[key]


def _chunks(source: pa.NativeFile, footer: Footer, leaves: Sequence[int]) -> list[ColumnChunks]:
    if leaves:
        return column_chunks(source, footer, leaves)
    # All columns are in the names of folders; any one of the file shows how many rows there are.
    plain = [leaf for leaf in range(footer.metadata.num_columns) if leaf not in footer.encrypted_leaves]
    return [ColumnChunks(group.num_rows, ()) for group in column_chunks(source, footer, plain[:1])]


def _refuse_encrypted(footer: Footer, leaves: Sequence[int]) -> None:
    for leaf in leaves:
        if leaf in footer.encrypted_leaves:
            raise UnreadableFileError(
                f"column {footer.metadata.schema.column(leaf).path!r} is encrypted, expected plain ones; decrypt "
                "the file, or list the columns to carry, without it, in input.columns"
            )


def _unwritable(schema: pa.Schema, annotations: Sequence[str], carried: Iterable[str]) -> dict[str, str]:
    """The columns to carry that cannot be written back unchanged, with the reason."""
    problems = {}
    for name in carried:
        steps = find_path(schema, name)
        if steps is not None:
            leaves = leaf_indices(schema, [name])
            problem = writing_problem(path_field(schema, steps), [annotations[leaf] for leaf in leaves])
            if problem is not None:
                problems[name] = problem
    return problems


def _conflicts(footer: Footer, schema: pa.Schema, partition: Mapping[str, str | None]) -> tuple[str, ...]:
    """Partition columns that the file also has, unless the footer shows equal values."""
    return tuple(
        key
        for key, value in partition.items()
        if not all(
            leaf not in footer.encrypted_leaves and holds_only(footer.metadata, leaf, value)
            for leaf in leaf_indices(schema, [key])
        )
    )
