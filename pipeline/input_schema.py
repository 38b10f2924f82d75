"""Which columns a job reads, and the one schema that all its input files must agree on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.columns import (
    plain_type,
    require_column,
    require_route_column,
    require_text_column,
    reserved_name_problem,
    without_views,
)
from pipeline.config import JobConfig
from pipeline.errors import InputError

_MAX_PROBLEMS = 10


@dataclass(frozen=True)
class ReadColumns:
    """Names of the columns that a job reads; `carried` is None where it carries all of them."""

    texts: tuple[str, ...]
    route: str | None
    carried: tuple[str, ...] | None

    @classmethod
    def of_job(cls, job: JobConfig) -> "ReadColumns":
        """The columns that the heads and `[input]` of a job name."""
        texts = [column for head in job.heads.values() for column in head.text_columns]
        return cls(tuple(dict.fromkeys(texts)), job.input.route, job.input.columns)

    def names(self, available: Iterable[str]) -> tuple[str, ...]:
        """Every column to read of a file that has `available`: carried ones first, each once."""
        carried = tuple(available) if self.carried is None else self.carried
        route = () if self.route is None else (self.route,)
        return tuple(dict.fromkeys([*carried, *self.texts, *route]))


@dataclass(frozen=True)
class InputSchema:
    """Columns read, in order, with the types that they are read as; `carried` go to the output."""

    read: pa.Schema
    carried: pa.Schema


def agree(files: Sequence[tuple[str, pa.Schema]], columns: ReadColumns, head_names: Iterable[str]) -> InputSchema:
    """The schema that a job reads from `files`, (path, schema) each.

    Types may differ in encoding (dictionary, large, view) and may be null in some files. Raises
    InputError with every problem, up to ten.
    """
    problems = [problem for file in files for problem in _file_problems(*file, columns)]
    if not problems:
        first_file, first = files[0]
        carried = first.names if columns.carried is None else columns.carried
        problems += _name_problems(carried, first_file, head_names)
        if columns.carried is None:
            for file, schema in files[1:]:
                problems += _difference(first_file, first.names, file, schema.names)
    if not problems:
        names = columns.names(first.names)
        types, problems = _agreed_types(files, names)
    if problems:
        raise input_error(problems)
    fields = {name: pa.field(name, types[name]) for name in names}
    return InputSchema(pa.schema(fields.values()), pa.schema([fields[name] for name in carried]))


def input_error(problems: Sequence[str]) -> InputError:
    """One InputError for all problems, showing the first ten."""
    if len(problems) == 1:
        return InputError(problems[0])
    shown = list(problems[:_MAX_PROBLEMS])
    if len(problems) > _MAX_PROBLEMS:
        shown.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return InputError("\n  ".join([f"{len(problems)} problems with the input", *shown]))


def _file_problems(file: str, schema: pa.Schema, columns: ReadColumns) -> list[str]:
    """Columns that the job reads and one file lacks, or has with an unusable type."""
    problems: dict[str, None] = {}
    for name in columns.names(schema.names):
        try:
            if name in columns.texts:
                require_text_column(schema, name, file)
            elif name == columns.route:
                require_route_column(schema, name, file)
            else:
                require_column(schema, name, file)
        except InputError as error:
            problems[str(error)] = None
    return list(problems)


def _name_problems(carried: Iterable[str], file: str, head_names: Iterable[str]) -> list[str]:
    """Carried columns whose names the output needs for its own."""
    remedy = "list the columns to carry, without it, in input.columns"
    heads = set(head_names)
    problems = []
    for name in carried:
        reserved = reserved_name_problem(name)
        if reserved is not None:
            problems.append(f"{file}: column {name!r} {reserved}; {remedy}")
        elif name in heads:
            problems.append(f"{file}: column {name!r} has the name of a head; rename it or {remedy}")
    return problems


def _difference(first_file: str, first: Sequence[str], file: str, names: Sequence[str]) -> Iterable[str]:
    remedy = "list the columns to carry in input.columns"
    for name in first:
        if name not in names:
            yield f"{file}: column {name!r} is missing, {first_file} has it; {remedy}"
    for name in names:
        if name not in first:
            yield f"{file}: has a column {name!r}, {first_file} has not; {remedy}"


def _agreed_types(
    files: Sequence[tuple[str, pa.Schema]], names: Iterable[str]
) -> tuple[dict[str, pa.DataType], list[str]]:
    types: dict[str, pa.DataType] = {}
    problems = []
    for name in names:
        agreed_file, agreed = files[0][0], without_views(files[0][1].field(name).type)
        for file, schema in files[1:]:
            found = without_views(schema.field(name).type)
            common = _common_type(agreed, found)
            if common is None:
                problems.append(
                    f"{file}: column {name!r} has type {found}, in {agreed_file} it has {agreed}; "
                    "expected one type; rewrite one of the files, or leave the column out of "
                    "input.columns where nothing reads it"
                )
            elif common != agreed:
                agreed_file, agreed = file, common
        types[name] = agreed
    return types, problems


def _common_type(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """The type that columns of both types are read as, or None where there is none."""
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    plain = plain_type(a)
    return plain if plain == plain_type(b) else None
