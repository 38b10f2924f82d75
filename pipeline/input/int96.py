"""Timestamps in INT96, as Spark, Hive and Impala write them: a day of any year, and its nanoseconds.

They are read as microseconds, which hold all that Spark writes. Arrow cuts finer digits, and lets years beyond
292,000 overflow, without an error.
"""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrays.casting import lists_of_entries
from pipeline.arrays.nested_columns import is_list_like

UNIT = "us"
OTHER_UNITS = ("ns", "s")
"""Read in these too, timestamps show whether microseconds hold them: nanoseconds overflow, but lose no digit."""


def int96_leaves(metadata: pq.FileMetaData) -> frozenset[int]:
    """Indices of the Parquet columns that are timestamps in INT96."""
    columns = [metadata.schema.column(leaf) for leaf in range(metadata.num_columns)]
    return frozenset(leaf for leaf, column in enumerate(columns) if column.physical_type == "INT96")


def are_equal(microseconds: pa.Array, other: pa.Array) -> bool:
    """Whether all timestamps, at any depth, are those of the same column read in one of the other units."""
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
    # Unchecked, so that it overflows as Arrow does where it reads nanoseconds.
    return microseconds.cast(type_, safe=False).equals(other)
