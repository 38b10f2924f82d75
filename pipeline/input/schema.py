"""Which columns a job reads, and the one schema that all its input files must agree on."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten

import pyarrow as pa

from pipeline.arrays.column_types import all_fields, extension_of, sent_type
from pipeline.arrays.common_types import common_field
from pipeline.arrays.nested_columns import find_path, is_list_like, path_field
from pipeline.config.job import JobConfig
from pipeline.errors import InputError
from pipeline.input.column_checks import (
    require_column,
    require_route_column,
    require_text_column,
    require_text_list_column,
)
from pipeline.input.column_names import column_name_problems, field_name_problems, key_name_problems
from pipeline.input.hive_partitions import with_partition
from pipeline.tasks.sections import InputColumn, Shape

_MAX_PROBLEMS = 10
_MAX_KEYS = 3
_LEAVE_OUT = "list the columns to carry, without it, in input.columns"

_Check = Callable[[pa.Schema, str, str], object]


@dataclass(frozen=True)
class ReadColumns:
    """Names or dotted paths of the columns that a job reads.

    Attributes:
        texts: columns of texts, each with the keys of the job file that name it, for messages.
        carried: None where the job carries all columns of the files.
        text_lists: columns of lists of texts, with their keys.
        carries_partition: whether the keys of the files' folders are carried too.
    """

    texts: Mapping[str, str]
    route: str | None
    carried: tuple[str, ...] | None
    text_lists: Mapping[str, str] = field(default_factory=dict)
    carries_partition: bool = False

    @classmethod
    def of_job(cls, job: JobConfig) -> "ReadColumns":
        """The columns that the heads and `[input]` of a job name."""
        config = job.input
        texts, text_lists = _keys_by_path(job, "text"), _keys_by_path(job, "list of text")
        return cls(texts, config.route, config.columns, text_lists, config.hive is True)

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that the job names, once: carried ones first."""
        route = () if self.route is None else (self.route,)
        return tuple(dict.fromkeys([*(self.carried or ()), *self.texts, *self.text_lists, *route]))

    def carried_of(self, available: Iterable[str], keys: Iterable[str] = ()) -> tuple[str, ...]:
        """The columns to carry, each once, of a file that has `available` and lies in folders with `keys`."""
        carried = available if self.carried is None else self.carried
        return tuple(dict.fromkeys([*carried, *(keys if self.carries_partition else ())]))

    def names(self, available: Iterable[str], keys: Iterable[str] = ()) -> tuple[str, ...]:
        """Every column to read of such a file, once: carried ones first."""
        return tuple(dict.fromkeys([*self.carried_of(available, keys), *self.named]))

    def keys(self, name: str) -> str:
        """The keys of the job file that name a column, for messages; of one that none names, what would."""
        keys = [key for key, _ in self.checks(name)]
        if not keys or name in (self.carried or ()):
            keys.append("input.columns")
        return ", ".join(keys)

    def checks(self, name: str) -> list[tuple[str, _Check]]:
        """What the type of a column must pass for all that the job reads it as, after the keys that say so."""
        checks: list[tuple[str, _Check]] = []
        if name in self.texts:
            checks.append((self.texts[name], require_text_column))
        if name in self.text_lists:
            checks.append((self.text_lists[name], require_text_list_column))
        if name == self.route:
            checks.append(("input.route", require_route_column))
        return checks


def _keys_by_path(job: JobConfig, shape: Shape) -> dict[str, str]:
    """The columns of one shape that the heads of a job read, each with the keys that name it."""
    keys: dict[str, dict[str, None]] = {}
    for name, head in job.heads.items():
        for column in head.input_columns:
            if column.shape == shape:
                keys.setdefault(column.path, {})[_key(job, name, column)] = None
    return {path: _listed(list(named)) for path, named in keys.items()}


def _key(job: JobConfig, head: str, column: InputColumn) -> str:
    """The key of the job file that names a head's column; a head without a `text` has that of the input."""
    is_default = column.option == "text" and column.path == job.input.text
    return "input.text" if is_default else f"heads.{head}.{column.option}"


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _MAX_KEYS} more" if len(keys) > _MAX_KEYS else ""
    return ", ".join(keys[:_MAX_KEYS]) + more


@dataclass(frozen=True)
class FileSchema:
    """Columns of a file, as carried fields, and keys and values of the Hive-partitioned folders that it lies in.

    `conflicts`: keys that are columns of the file too, and may have other values there. `unwritable`: why some of
    the columns to carry cannot be.
    """

    path: str
    columns: pa.Schema
    partition: Mapping[str, str | None] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    unwritable: Mapping[str, str] = field(default_factory=dict)

    @property
    def available(self) -> pa.Schema:
        """All columns that can be read: those of the file, then those of its folders."""
        return with_partition(self.columns, self.partition)

    @property
    def kind(self) -> Hashable:
        """Equal where everything but the path and the values of the folders is; files may share their columns."""
        return id(self.columns), tuple(self.partition), self.conflicts


@dataclass(frozen=True)
class InputSchema:
    """Columns read, in order: `read` with the types that they are sent as, `carried` as they go to the output."""

    read: pa.Schema
    carried: pa.Schema


def common_schema(files: Sequence[FileSchema], columns: ReadColumns, head_names: Iterable[str]) -> InputSchema:
    """The schema that a job reads from files, one or more.

    Types may differ in encoding (dictionary, large, view, kind of list) and may be null in some files. Raises
    InputError with every problem, up to ten.
    """
    first = files[0]
    carried = columns.carried_of(first.columns.names, first.partition)
    kinds = list({file.kind: file for file in reversed(files)}.values())[::-1]
    problems: list[str] = []
    if any(_file_problems(file, columns) for file in kinds):
        problems = [problem for file in files for problem in _file_problems(file, columns)]
    else:
        problems += column_name_problems(first.path, carried, head_names)
        problems += key_name_problems([file.partition for file in kinds], carried, head_names)
        for file in kinds:
            others = columns.carried_of(file.columns.names, file.partition)
            problems += _difference(first.path, carried, file.path, others)
    fields: dict[str, pa.Field] = {}
    if not problems:
        fields, problems = _agreed_fields(kinds, columns.names(first.columns.names, first.partition), columns)
        problems += _type_problems(pa.schema(fields.values()), fields, columns, first.path)
        problems += [
            problem for name in carried for problem in field_name_problems(first.path, name, fields[name].type)
        ]
    if problems:
        raise input_error(list(dict.fromkeys(problems)))
    read = [pa.field(name, sent_type(field.type)) for name, field in fields.items()]
    return InputSchema(pa.schema(read), pa.schema([fields[name] for name in carried]))


def input_error(problems: Sequence[str]) -> InputError:
    """One InputError for all problems, showing the first ten."""
    if len(problems) == 1:
        return InputError(problems[0])
    shown = list(problems[:_MAX_PROBLEMS])
    if len(problems) > _MAX_PROBLEMS:
        shown.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return InputError("\n  ".join([f"{len(problems)} problems with the input", *shown]))


def _file_problems(file: FileSchema, columns: ReadColumns) -> list[str]:
    """Columns that the job reads and one file lacks, or has with an unusable type or twice over."""
    available = file.available
    problems = []
    typed = []
    for name in columns.names(file.columns.names, file.partition):
        try:
            found = require_column(available, name, file.path)
        except InputError as error:
            problems.append(f"{columns.keys(name)}: {error}")
            continue
        if name in file.conflicts and (name in columns.named or columns.carries_partition):
            folder = f"{name}={file.partition[name]}"
            problems.append(
                f"{columns.keys(name)}: {file.path}: column {name!r} is in the file and in the name of its "
                f"folder, {folder}, and the footer does not show that they are equal; set input.hive = false to "
                "read the file's"
            )
        if name in file.unwritable:
            problems.append(
                f"{columns.keys(name)}: {file.path}: column {name!r} {file.unwritable[name]}; {_LEAVE_OUT}"
            )
        # In a file without any value; others may tell its type.
        elif not pa.types.is_null(found.value_type if is_list_like(found) else found):
            typed.append(name)
    if columns.carries_partition and not file.partition:
        problems.append(
            f'input.hive: {file.path}: found true, expected a folder KEY=VALUE above the file; set it to "auto"'
        )
    return problems + _type_problems(available, typed, columns, file.path)


def _type_problems(schema: pa.Schema, names: Iterable[str], columns: ReadColumns, file: str) -> list[str]:
    problems = []
    for name in names:
        for keys, check in columns.checks(name):
            try:
                check(schema, name, file)
            except InputError as error:
                problems.append(f"{keys}: {error}")
    return problems


def _difference(first_file: str, first: Sequence[str], file: str, names: Sequence[str]) -> Iterable[str]:
    remedy = "list there the columns to carry"
    for name in first:
        if name not in names:
            yield f"input.columns: {file}: column {name!r} is missing, {first_file} has it; {remedy}"
    for name in names:
        if name not in first:
            yield f"input.columns: {file}: has a column {name!r}, {first_file} has not; {remedy}"


def _agreed_fields(
    files: Sequence[FileSchema], names: Iterable[str], columns: ReadColumns
) -> tuple[dict[str, pa.Field], list[str]]:
    schemas = [(file.path, file.available) for file in files]
    fields: dict[str, pa.Field] = {}
    problems = []
    for name in names:
        agreed_file, agreed = schemas[0][0], _field_at(schemas[0][1], name)
        for file, schema in schemas[1:]:
            found = _field_at(schema, name)
            common = common_field(agreed, found)
            if common is None:
                problems.append(
                    f"{columns.keys(name)}: {file}: column {name!r} has type {_shown(found)}, in {agreed_file} it "
                    f"has {_shown(agreed)}; expected one type; rewrite one of the files, or leave the column out "
                    "of input.columns where nothing reads it"
                )
                continue
            if common.type != agreed.type:
                agreed_file = file
            agreed = common
        fields[name] = agreed
    return fields, problems


def _field_at(schema: pa.Schema, name: str) -> pa.Field:
    steps = find_path(schema, name)
    assert steps is not None, name
    return path_field(schema, steps).with_name(name)


def _shown(field: pa.Field) -> str:
    """The type, with the extension types that it does not show."""
    extensions = [extension for inner in all_fields(field) if (extension := extension_of(inner)) is not None]
    names = [shorten(f"{name} {parameters.decode(errors='replace')}", 80) for name, parameters in extensions]
    return f"{field.type} (extension {', '.join(names)})" if names else str(field.type)
