"""Hive partitioning: in `lang=de/year=2024/a.parquet`, every row has lang "de" and year "2024".

All values are strings, %XX is decoded as in a URI, and `__HIVE_DEFAULT_PARTITION__` is null. Only folders below
the input root count.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrays.nested_columns import find_path
from pipeline.errors import InputError
from pipeline.storage.printable import printable

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def partition_values(relative_path: str) -> dict[str, str | None]:
    """Keys and values of the folders of a file, the outermost first. Raises InputError for a repeated key."""
    values: dict[str, str | None] = {}
    for folder in relative_path.split("/")[:-1]:
        name, mark, value = folder.partition("=")
        if not name or not mark:
            continue
        key = unquote(name)
        if key in values:
            raise InputError(
                f"input.hive: {printable(relative_path)}: two folders have the key {key!r}, expected one; rename "
                "one, or set it to false, which takes folders for folders only"
            )
        values[key] = None if value == _NULL else unquote(value)
    return values


def with_partition(schema: pa.Schema, keys: Iterable[str]) -> pa.Schema:
    """The columns of a file, then those partition columns that it does not have itself, as strings."""
    missing = [key for key in keys if find_path(schema, key) is None]
    return pa.schema([*schema, *(pa.field(key, pa.string()) for key in missing)])


def holds_only(metadata: pq.FileMetaData, leaf: int, value: str | None) -> bool:
    """Whether the footer shows that a leaf column has the value of a folder in every row."""
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    return all(_group_holds_only(group, leaf, value) for group in groups if group.num_rows)


def _group_holds_only(group: pq.RowGroupMetaData, leaf: int, value: str | None) -> bool:
    statistics = group.column(leaf).statistics
    if statistics is None or not statistics.has_null_count:
        return False
    if value is None:
        return statistics.null_count == group.num_rows
    is_constant = statistics.null_count == 0 and statistics.has_min_max and statistics.min == statistics.max
    return is_constant and _is_written_as(statistics.min, value)


def _is_written_as(found: object, value: str) -> bool:
    """Whether a column's value could be written like this in a folder name; numbers may have leading zeros."""
    if isinstance(found, bool):
        return str(found).lower() == value.lower()
    if isinstance(found, int):
        return _INTEGER.fullmatch(value) is not None and int(value) == found
    if isinstance(found, bytes):
        return found == value.encode()
    return str(found) == value
