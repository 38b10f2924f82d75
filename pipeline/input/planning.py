"""Plan a job: list the input files, read their footers, check their columns, and cut them into fragments."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from threading import Event

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pipeline.arrays.nested_columns import find_path, leaf_indices, path_field
from pipeline.config.job import InputSection, JobConfig
from pipeline.errors import InputError, UnreadableFileError
from pipeline.fragments import Fragment, RowGroup, cut_file, part_stem
from pipeline.input.file_listing import Selection, list_input_files
from pipeline.input.footers import Footer, read_footer, version_mark
from pipeline.input.found_files import InputFile
from pipeline.input.fragment_table import FileCuts, FragmentTable, PlannedFile
from pipeline.input.hive_partitions import holds_only, partition_values
from pipeline.input.parquet_types import arrow_schema, leaf_annotations, writing_problem
from pipeline.input.passed_over import PassedOver
from pipeline.input.path_patterns import States
from pipeline.input.schema import FileSchema, ReadColumns, common_schema, input_error
from pipeline.storage.filesystem_uris import is_same_store
from pipeline.storage.locations import resolve_path
from pipeline.storage.printable import printable
from pipeline.storage.retries import RETRY_FOR_S, is_transient, retry_transient
from pipeline.storage.threads import map_in_threads


@dataclass(frozen=True)
class FailedFile:
    """An input file that cannot be read, or a folder that cannot be listed; `path` is escaped for printing."""

    path: str
    relative_path: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """All fragments of a job, in the order of their files.

    `num_files` includes files that failed or have no rows; `num_rows` and `num_bytes` (uncompressed, of the
    columns read) are sums over the fragments. `read_schema` has the columns to read, `carried_schema` those to
    write.
    """

    filesystem: fs.FileSystem
    fragments: FragmentTable
    read_schema: pa.Schema
    carried_schema: pa.Schema
    num_files: int
    num_rows: int
    num_bytes: int
    failed_files: tuple[FailedFile, ...]
    passed_over: PassedOver


@dataclass(frozen=True)
class _ReadableFile:
    file: PlannedFile
    schema: FileSchema
    cuts: FileCuts


def plan_fragments(job: JobConfig) -> Plan:
    """List the input, read the footer of each file, check the columns, cut into fragments.

    Unreadable files and dangling links become `failed_files`. Raises InputError if nothing can be read, a column
    is missing or of a wrong type, files disagree, two files would have the same parts, or the output is within the
    input.
    """
    filesystem, files, selections, passed_over = list_input_files(job.input.path)
    _refuse_equal_stems(files)
    columns = ReadColumns.of_job(job)
    partitions = [partition_values(file.relative_path) if job.input.hive else {} for file in files]
    readable, failed = _read_footers(filesystem, files, partitions, columns, job.input)
    if not readable:
        raise InputError(
            f"input.path: none of {len(files)} files can be read; the first, {failed[0].path}: "
            f"{failed[0].reason}; check the files and their permissions"
        )
    fragments = FragmentTable([(file.file, file.cuts) for file in readable])
    try:
        schema = common_schema([file.schema for file in readable if len(file.cuts)], columns, job.heads)
        _refuse_output_in_input(job, filesystem, selections, fragments)
    except InputError as error:
        if not failed:
            raise
        raise InputError(
            f"{error}\n  and {len(failed)} of {len(files)} files cannot be read; the first, {failed[0].path}: "
            f"{failed[0].reason}"
        ) from None
    return Plan(
        filesystem=filesystem,
        fragments=fragments,
        read_schema=schema.read,
        carried_schema=schema.carried,
        num_files=len(files),
        num_rows=int(fragments.num_rows.sum()),
        num_bytes=int(fragments.num_bytes.sum()),
        failed_files=tuple(failed),
        passed_over=passed_over,
    )


def _read_footers(
    filesystem: fs.FileSystem,
    files: Sequence[InputFile],
    partitions: Sequence[Mapping[str, str | None]],
    columns: ReadColumns,
    config: InputSection,
) -> tuple[list[_ReadableFile], list[FailedFile]]:
    types = _KnownTypes(columns)
    has_given_up = Event()

    def read(entry: tuple[InputFile, Mapping[str, str | None]]) -> _ReadableFile | FailedFile:
        file, partition = entry
        if file.problem is not None:
            return FailedFile(printable(file.path), file.relative_path, file.problem)
        # Do not wait again for a store that stays down.
        retry_for_s = 0.0 if has_given_up.is_set() else RETRY_FOR_S
        try:
            return retry_transient(lambda: _read_file(filesystem, file, partition, types, config), retry_for_s)
        except (UnreadableFileError, pa.ArrowException, OSError) as error:
            if is_transient(error):
                has_given_up.set()
            reason = printable(str(error).partition("\n")[0])
            return FailedFile(printable(file.path), file.relative_path, reason)

    results = list(map_in_threads(read, zip(files, partitions, strict=True)))
    readable = [result for result in results if isinstance(result, _ReadableFile)]
    return readable, [result for result in results if isinstance(result, FailedFile)]


class _KnownTypes:
    """A cache of schemas: most files have the same one, which is large compared with what else is kept."""

    def __init__(self, columns: ReadColumns) -> None:
        self.columns = columns
        self._known: dict[tuple[bytes | None, str], tuple[pa.Schema, Mapping[str, str]]] = {}

    def of(self, metadata: pq.FileMetaData) -> tuple[pa.Schema, Mapping[str, str]]:
        """The columns of a file, and those that cannot be carried, with the reason."""
        # The serialized schema, as parsing it takes most of the time; the first line of the text is an address.
        key = ((metadata.metadata or {}).get(b"ARROW:schema"), str(metadata.schema).partition("\n")[2])
        if key not in self._known:
            schema, annotations = arrow_schema(metadata), leaf_annotations(metadata)
            self._known[key] = schema, _unwritable(schema, annotations, self.columns.carried_of(schema.names))
        return self._known[key]


def _read_file(
    filesystem: fs.FileSystem,
    file: InputFile,
    partition: Mapping[str, str | None],
    types: _KnownTypes,
    config: InputSection,
) -> _ReadableFile:
    with filesystem.open_input_file(file.path) as source:
        footer = read_footer(source)
        mark = version_mark(source, file.mtime_ns)
    found, unwritable = types.of(footer.metadata)
    leaves = leaf_indices(found, types.columns.names(found.names))
    _refuse_encrypted(footer, leaves)
    row_groups = _row_groups(footer.metadata, leaves)
    conflicts = _conflicts(footer, found, partition)
    schema = FileSchema(printable(file.path), found, partition, conflicts, unwritable)
    planned = PlannedFile(file.path, file.relative_path, footer.file_size, footer.version, mark)
    cuts = cut_file(row_groups, max_rows=config.max_fragment_rows, max_bytes=config.max_fragment_bytes)
    return _ReadableFile(planned, schema, FileCuts.of(cuts))


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


def _row_groups(metadata: pq.FileMetaData, leaves: Sequence[int]) -> tuple[RowGroup, ...]:
    """Rows of each row group, and uncompressed bytes of some leaf columns."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    return tuple(
        RowGroup(group.num_rows, sum(group.column(leaf).total_uncompressed_size for leaf in leaves))
        for group in groups
    )


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


def _refuse_equal_stems(files: Sequence[InputFile]) -> None:
    """Raise InputError if the parts of two files would have the same names."""
    seen: dict[str, InputFile] = {}
    problems = []
    for file in files:
        if file.problem is not None:
            continue
        other = seen.setdefault(part_stem(file.relative_path), file)
        if other is not file:
            problems.append(
                f"input.path: {printable(other.path)} and {printable(file.path)} would both be written to "
                f"{printable(part_stem(file.relative_path))}.*.parquet, expected different names; rename one, "
                "or give a folder above both as input.path"
            )
    if problems:
        raise input_error(problems)


def _refuse_output_in_input(
    job: JobConfig, filesystem: fs.FileSystem, selections: Sequence[Selection], fragments: Iterable[Fragment]
) -> None:
    """Raise InputError if the parts would be input of the next run, also through links."""
    output_filesystem, root = resolve_path(job.output.path, "output.path")
    if not filesystem.equals(output_filesystem) and not is_same_store(job.input.path[0], job.output.path):
        return
    states: dict[tuple[int, str], Set[States]] = {}
    for fragment in fragments:
        folder, _, name = f"{root}/{fragment.part_path}".rpartition("/")
        for index, selection in enumerate(selections):
            if (index, folder) not in states:
                states[index, folder] = selection.states_in(folder)
            if any(selection.pattern.selects(some, name) for some in states[index, folder]):
                part = printable(f"{folder}/{name}")
                raise InputError(
                    f"output.path: parts like {part} would be input too, as input.path holds {selection.entry}, "
                    "by its path or through links; expected an output outside the input; choose another"
                )
