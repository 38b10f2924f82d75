"""Plan a job: list the input files, read their footers, check their columns, and cut them into fragments."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import fs

from pipeline.arrays.column_types import unpacked
from pipeline.config.job import InputSection, JobConfig
from pipeline.errors import InputError
from pipeline.fragments import Fragment, part_stem
from pipeline.input.file_listing import Selection, list_input_files
from pipeline.input.file_planning import plan_files
from pipeline.input.file_plans import Planner
from pipeline.input.found_files import InputFile
from pipeline.input.fragment_table import FileCuts, FragmentTable, PlannedFile
from pipeline.input.hive_partitions import partition_values
from pipeline.input.passed_over import PassedOver
from pipeline.input.path_patterns import States
from pipeline.input.planner_process import Entry
from pipeline.input.read_columns import ReadColumns
from pipeline.input.schema import FileSchema, common_schema, input_error
from pipeline.storage.filesystem_uris import is_same_store
from pipeline.storage.locations import resolve_path
from pipeline.storage.printable import number_of, printable


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
            f"input.path: found {number_of(len(files), 'file')} that cannot be read, expected one that can; the "
            f"first, {failed[0].path}: {failed[0].reason}; check the files and their permissions"
        )
    fragments = FragmentTable([(file.file, file.cuts) for file in readable])
    try:
        schema = common_schema([file.schema for file in readable if len(file.cuts)], columns, job.heads)
        _refuse_output_in_input(job, filesystem, selections, fragments)
    except InputError as error:
        if not failed:
            raise
        raise InputError(
            f"{error}\n  and {len(failed):,} of {number_of(len(files), 'file')} cannot be read; the first, "
            f"{failed[0].path}: {failed[0].reason}"
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
    assert config.max_fragment_rows != "auto", "it is settled before"
    planner = Planner(filesystem, columns, config.max_fragment_rows, config.max_fragment_bytes)
    entries = [Entry(*entry) for entry in zip(range(len(files)), files, partitions, strict=True)]
    outcomes = plan_files(planner, entries)
    schemas: dict[bytes, pa.Schema] = {}
    readable: list[_ReadableFile] = []
    failed: list[FailedFile] = []
    for entry, outcome in zip(entries, outcomes, strict=True):
        path = printable(entry.file.path)
        if isinstance(outcome, str):
            failed.append(FailedFile(path, entry.file.relative_path, outcome))
            continue
        found = planner.file_columns[outcome.columns]
        if outcome.columns not in schemas:
            schemas[outcome.columns] = unpacked(found.schema)
        schema = FileSchema(path, schemas[outcome.columns], entry.partition, outcome.conflicts, found.unwritable)
        readable.append(_ReadableFile(outcome.file, schema, outcome.cuts))
    return readable, failed


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
