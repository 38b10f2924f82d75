"""Read columns of Parquet files, one split in one or more files, and check their types."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import pyarrow as pa

from jobs.evaluate.data.files import FIELD, DataFile, DataFiles
from pipeline.arrays.casting import cast_column
from pipeline.arrays.column_types import plain_type
from pipeline.arrays.nested_columns import column_at, find_path, is_list_like, leaf_indices
from pipeline.errors import InputError, UnreadableFileError
from pipeline.input.column_checks import require_column
from pipeline.input.footers import Footer, read_footer
from pipeline.input.parquet_types import arrow_schema, open_parquet
from pipeline.storage.printable import shortened
from pipeline.storage.retries import retry_transient

T = TypeVar("T")

Shape = Literal["text", "texts", "class", "classes", "integer", "number", "any"]

_EXPECTED: Mapping[Shape, str] = {
    "text": "string",
    "texts": "list<string>",
    "class": "string or an integer type",
    "classes": "list<string> or lists of an integer type",
    "integer": "an integer type",
    "number": "a floating-point or integer type",
}
_FEATURES_KEY = b"huggingface"


@dataclass(frozen=True)
class Column:
    """A column to read, by its name or dotted path.

    `field` is the option that names it, for messages.
    """

    path: str
    shape: Shape
    field: str = FIELD


@dataclass(frozen=True)
class Rows:
    """The rows of one split in the order of its files.

    Attributes:
        columns: by role; texts as string, classes as string or int64, numbers as float64, lists as lists of these.
        class_names: by role, the names of class ids, where the files have them (ClassLabel of the hub's library).
        fields: by role, option and column, for messages.
        source: the files, for messages.
    """

    columns: Mapping[str, pa.ChunkedArray]
    class_names: Mapping[str, tuple[str, ...]]
    fields: Mapping[str, str]
    source: str
    num_rows: int

    def where(self, role: str) -> str:
        """A column with its files, as the begin of a message."""
        return f"{self.fields[role]} of {self.source}"


def read_schema(files: DataFiles, file: DataFile) -> pa.Schema:
    """The columns of a file. Raises InputError if it is not a readable Parquet file."""
    return _guarded(file, partial(_footer, files, file))[1]


def read_rows(files: DataFiles, chosen: Sequence[DataFile], columns: Mapping[str, Column]) -> Rows:
    """Read columns by role from the files of one split.

    Raises InputError if a file cannot be read, a column is missing or of another type, or the files differ in type
    or class names.
    """
    tables: list[dict[str, pa.ChunkedArray]] = []
    names: list[dict[str, tuple[str, ...]]] = []
    for file in chosen:
        footer, schema = _guarded(file, partial(_footer, files, file))
        types = {role: _checked_type(schema, column, file) for role, column in columns.items()}
        names.append(_class_names(footer, columns))
        _require_same(chosen[0], file, names[0], names[-1])
        wanted = {role: (column.path, types[role]) for role, column in columns.items()}
        tables.append(_guarded(file, partial(_read, files, file, footer, wanted)))
    merged = {role: _concatenated(role, chosen, tables, columns[role]) for role in columns}
    fields = {role: f"{column.field}: column {column.path!r}" for role, column in columns.items()}
    source = shortened([file.name for file in chosen], 2)
    return Rows(merged, names[0], fields, source, sum(len(next(iter(table.values()))) for table in tables))


def _guarded(file: DataFile, action: Callable[[], T]) -> T:
    """The result of reading from a file, with retries of transient errors. Raises InputError for any error."""
    try:
        return retry_transient(action)
    except (UnreadableFileError, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
    raise InputError(f"{FIELD}: {file.name} cannot be read: {reason}; expected a Parquet file; fetch it again")


def _footer(files: DataFiles, file: DataFile) -> tuple[Footer, pa.Schema]:
    with files.open_file(file) as source:
        footer = read_footer(source)
    return footer, arrow_schema(footer.metadata)


def _read(
    files: DataFiles, file: DataFile, footer: Footer, wanted: Mapping[str, tuple[str, pa.DataType]]
) -> dict[str, pa.ChunkedArray]:
    """By role, the column at a path as a type."""
    leaves = leaf_indices(arrow_schema(footer.metadata), [path for path, _ in wanted.values()])
    if footer.encrypted_leaves.intersection(leaves):
        raise UnreadableFileError("columns are encrypted, expected plain ones")
    names = [footer.metadata.schema.column(leaf).path for leaf in leaves]
    with files.open_file(file) as source:
        parquet = open_parquet(source, footer.metadata)
        # One row group at a time, as Arrow cannot read nested dictionaries across row groups.
        groups = [parquet.read_row_group(group, columns=names) for group in range(parquet.num_row_groups)]
    table = pa.concat_tables(groups) if groups else parquet.schema_arrow.empty_table()
    return {role: cast_column(column_at(table, path), type_) for role, (path, type_) in wanted.items()}


def _checked_type(schema: pa.Schema, column: Column, file: DataFile) -> pa.DataType:
    """The type as which a column is read."""
    try:
        found = require_column(schema, column.path, file.name)
    except InputError as error:
        expected = "" if column.shape == "any" else f"; expected {_EXPECTED[column.shape]}"
        raise InputError(
            f"{column.field}: {error}{expected}; name a column that is there, or other files"
        ) from None
    type_ = _read_as(found, column.shape)
    if type_ is None:
        raise InputError(
            f"{column.field}: {file.name}: column {column.path!r} has type {found}, expected "
            f"{_EXPECTED[column.shape]}; name other files, or cast it"
        )
    return type_


def _read_as(found: pa.DataType, shape: Shape) -> pa.DataType | None:
    """The type as which a column of type `found` is read in a shape; None if it does not fit."""
    if shape == "any":
        return found
    if shape in ("texts", "classes"):
        item: Shape = "text" if shape == "texts" else "class"
        if pa.types.is_null(found):
            return pa.list_(pa.string())
        inner = _read_as(found.value_type, item) if is_list_like(found) else None
        return None if inner is None else pa.list_(inner)
    plain = plain_type(found)
    if pa.types.is_null(plain):
        return pa.float64() if shape == "number" else pa.int64() if shape == "integer" else pa.string()
    if plain == pa.string():
        return plain if shape in ("text", "class") else None
    if pa.types.is_integer(plain):
        return pa.float64() if shape == "number" else pa.int64() if shape in ("class", "integer") else None
    return pa.float64() if pa.types.is_floating(plain) and shape == "number" else None


def _class_names(footer: Footer, columns: Mapping[str, Column]) -> dict[str, tuple[str, ...]]:
    """By role, the names of class ids, for columns of type ClassLabel of the hub's `datasets` library."""
    try:
        features = json.loads((footer.metadata.metadata or {})[_FEATURES_KEY])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    found = {role: _names_in(features.get(column.path)) for role, column in columns.items()}
    return {role: names for role, names in found.items() if names is not None}


def _names_in(feature: Any) -> tuple[str, ...] | None:
    """The names of a ClassLabel, also within Sequence, List or a JSON list."""
    while not (isinstance(feature, dict) and feature.get("_type") == "ClassLabel"):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and "feature" in feature:
            feature = feature["feature"]
        else:
            return None
    names = feature.get("names")
    return tuple(map(str, names)) if isinstance(names, list) else None


def _require_same(
    first: DataFile, file: DataFile, names: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]]
) -> None:
    if names != others:
        raise InputError(
            f"{FIELD}: {file.name} has other class names than {first.name}, expected files of one export; fetch "
            "all files of this split again"
        )


def _concatenated(
    role: str, chosen: Sequence[DataFile], tables: Sequence[Mapping[str, pa.ChunkedArray]], column: Column
) -> pa.ChunkedArray:
    types = [table[role].type for table in tables]
    for file, type_ in zip(chosen, types, strict=True):
        if type_ != types[0]:
            raise InputError(
                f"{column.field}: {file.name}: column {column.path!r} has type {type_}, expected {types[0]} as in "
                f"{chosen[0].name}; fetch all files of this split again"
            )
    return pa.chunked_array([chunk for table in tables for chunk in table[role].chunks], types[0])


def has_column(schema: pa.Schema, path: str) -> bool:
    """Whether there is a column or nested field at a path."""
    return find_path(schema, path) is not None
