"""INT96 timestamps (a day of any year, and nanoseconds), as written by Spark, Hive and Impala.

They are read as microseconds, which is enough for Spark. Arrow silently truncates nanoseconds, and overflows in
years beyond 292,000.
"""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrays.casting import lists_of_entries
from pipeline.arrays.nested_columns import is_list_like

UNIT = "us"
OTHER_UNITS = ("ns", "s")
"""Read in these units too, timestamps show whether anything was truncated or has overflowed."""


def int96_leaves(metadata: pq.FileMetaData) -> frozenset[int]:
    """Indices of the INT96 leaf columns."""
    columns = [metadata.schema.column(leaf) for leaf in range(metadata.num_columns)]
    return frozenset(leaf for leaf, column in enumerate(columns) if column.physical_type == "INT96")


def are_equal(microseconds: pa.Array, other: pa.Array) -> bool:
    """Whether timestamps, at any depth, equal those of the same column read in one of the other units."""
    type_ = other.type
    if pa.types.is_struct(type_):
        return all(are_equal(microseconds.field(i), other.field(i)) for i in range(type_.num_fields))
    if pa.types.is_map(type_):
        return are_equal(lists_of_entries(microseconds), lists_of_entries(other))
    if is_list_like(type_):
        return are_equal(pc.list_flatten(microseconds), pc.list_flatten(other))
    if type_ == microseconds.type:
        return True
    if type_.unit == "s":
        microseconds = pc.floor_temporal(microseconds, unit="second")
    # Unchecked, so that it overflows just as in Arrow's reader.
    return microseconds.cast(type_, safe=False).equals(other)
