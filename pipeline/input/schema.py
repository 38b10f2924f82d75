"""The columns that a job reads, and their common schema over all input files."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import shorten

import pyarrow as pa

from pipeline.arrays.column_types import all_fields, extension_of, sent_type
from pipeline.arrays.common_types import common_field
from pipeline.arrays.nested_columns import find_path, is_list_like, path_field
from pipeline.errors import InputError
from pipeline.input.column_checks import require_column, require_shape
from pipeline.input.column_names import column_name_problems, field_name_problems, key_name_problems
from pipeline.input.hive_partitions import with_partition
from pipeline.input.read_columns import ReadColumns

_MAX_PROBLEMS = 10
_LEAVE_OUT = "list the columns to carry, without it, in input.columns"


@dataclass(frozen=True)
class FileSchema:
    """The columns of a file, as carried fields, and its Hive partition columns.

    `conflicts`: partition columns that the file also has itself, perhaps with other values. `unwritable`: columns
    that cannot be carried, with the reason.
    """

    path: str
    columns: pa.Schema
    partition: Mapping[str, str | None] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    unwritable: Mapping[str, str] = field(default_factory=dict)

    @property
    def available(self) -> pa.Schema:
        """The columns of the file, then the partition columns."""
        return with_partition(self.columns, self.partition)

    @property
    def kind(self) -> Hashable:
        """Equal for files with the same `columns` object, partition columns and conflicts."""
        return id(self.columns), tuple(self.partition), self.conflicts


@dataclass(frozen=True)
class InputSchema:
    """The columns to read, in order: `read` with the types used between stages, `carried` as they are written."""

    read: pa.Schema
    carried: pa.Schema


def common_schema(files: Sequence[FileSchema], columns: ReadColumns, head_names: Iterable[str]) -> InputSchema:
    """The common schema of files, which may be none.

    Types may differ in encoding (dictionary, large, view, kind of list) and may be null in some files. Raises
    InputError with every problem, up to ten.
    """
    if not files:
        return InputSchema(pa.schema([]), pa.schema([]))
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
    """Columns that are missing in a file, there twice, or of an unusable type."""
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
        # Columns without values may be null; other files show their type.
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
        for keys, shape in columns.shapes(name):
            try:
                require_shape(schema, name, file, shape)
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
    """The type, including its extension types."""
    extensions = [extension for inner in all_fields(field) if (extension := extension_of(inner)) is not None]
    names = [shorten(f"{name} {parameters.decode(errors='replace')}", 80) for name, parameters in extensions]
    return f"{field.type} (extension {', '.join(names)})" if names else str(field.type)
