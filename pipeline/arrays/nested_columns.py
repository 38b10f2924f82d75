"""Dotted paths to nested fields: `doc.body` is the field `body` of the struct column `doc`.

A column or field whose own name is the whole path takes precedence, then longer names over shorter ones. If
`choices` is a list of structs, `choices.text` is the list of their texts. A column of type null has every field,
all null.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_LIST_IDS = frozenset(
    type_.id
    for type_ in (
        pa.list_(pa.null()),
        pa.large_list(pa.null()),
        pa.list_(pa.null(), 1),
        pa.list_view(pa.null()),
        pa.large_list_view(pa.null()),
    )
)


def is_list_like(type_: pa.DataType) -> bool:
    """Whether this is a list type of any kind (maps are not)."""
    return type_.id in _LIST_IDS


def find_path(fields: pa.Schema | pa.StructType, path: str) -> tuple[int, ...] | None:
    """Indices of the fields on the way to the one at `path`, or None."""
    exact = fields.get_all_field_indices(path)
    if exact:
        return (exact[0],)
    for name, rest in _splits(path):
        for index in fields.get_all_field_indices(name):
            inner = _item_type(fields.field(index).type)
            if pa.types.is_null(inner):
                return (index,)
            steps = find_path(inner, rest) if pa.types.is_struct(inner) else None
            if steps is not None:
                return (index, *steps)
    return None


def nearest_parent(fields: pa.Schema, path: str) -> tuple[str, pa.DataType] | None:
    """The longest existing path above `path`, and its type, or None."""
    for parent, _ in _splits(path):
        steps = find_path(fields, parent)
        if steps is not None:
            return parent, path_type(fields, steps)
    return None


def path_field(fields: pa.Schema | pa.StructType, steps: tuple[int, ...]) -> pa.Field:
    """The field at the path of `find_path`; nullable if anything above is."""
    return _inner_field(fields.field(steps[0]), steps[1:])


def path_type(fields: pa.Schema | pa.StructType, steps: tuple[int, ...]) -> pa.DataType:
    """The type of the field at the path of `find_path`."""
    return path_field(fields, steps).type


def all_paths(fields: pa.Schema | pa.StructType) -> Iterator[str]:
    """The paths of all columns and of all nested fields."""
    for index in range(len(fields) if isinstance(fields, pa.Schema) else fields.num_fields):
        field = fields.field(index)
        yield field.name
        inner = _item_type(field.type)
        if pa.types.is_struct(inner):
            yield from (f"{field.name}.{path}" for path in all_paths(inner))


def leaf_indices(schema: pa.Schema, paths: Iterable[str]) -> list[int]:
    """Indices, ascending, of the Parquet leaf columns below the `paths` that exist in a file with this schema."""
    starts = list(accumulate((_num_leaves(field.type) for field in schema), initial=0))
    leaves: set[int] = set()
    for path in paths:
        steps = find_path(schema, path)
        if steps is None:
            continue
        first, type_ = starts[steps[0]], schema.field(steps[0]).type
        for step in steps[1:]:
            struct = _item_type(type_)
            first += sum(_num_leaves(struct.field(i).type) for i in range(step))
            type_ = struct.field(step).type
        leaves.update(range(first, first + _num_leaves(type_)))
    return sorted(leaves)


def column_at(table: pa.Table, path: str) -> pa.ChunkedArray:
    """The values at `path`, null where anything above them is null. Raises KeyError if there is no such path."""
    steps = find_path(table.schema, path)
    if steps is None:
        raise KeyError(path)
    column = table.column(steps[0])
    if len(steps) == 1:
        return column
    return pa.chunked_array([_inner(chunk, steps[1:]) for chunk in column.chunks], path_type(table.schema, steps))


def list_offsets(lists: pa.Array, is_large: bool = False) -> pa.Array:
    """Offsets of lists of any kind into their `list_flatten`; null lists are empty.

    Raises ArrowInvalid if they do not fit 32 bits, unless `is_large`.
    """
    offsets = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum(pc.fill_null(pc.list_value_length(lists), 0), out=offsets[1:])
    return pa.array(offsets).cast(pa.int64() if is_large else pa.int32())


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """(name, rest) for every dot of a path, from the last to the first."""
    parts = path.split(".")
    for size in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:size]), ".".join(parts[size:])


def _item_type(type_: pa.DataType) -> pa.DataType:
    while is_list_like(type_):
        type_ = type_.value_type
    return type_


def _inner_field(field: pa.Field, steps: tuple[int, ...]) -> pa.Field:
    if not steps:
        return field
    if is_list_like(field.type):
        item = _inner_field(field.type.value_field, steps).with_nullable(True)
        lists = pa.large_list if _has_large_offsets(field.type) else pa.list_
        return pa.field(field.name, lists(item), field.nullable)
    inner = _inner_field(field.type.field(steps[0]), steps[1:])
    return inner.with_nullable(inner.nullable or field.nullable)


def _inner(array: pa.Array, steps: tuple[int, ...]) -> pa.Array:
    if not steps:
        return array
    if is_list_like(array.type):
        is_large = _has_large_offsets(array.type)
        lists = pa.LargeListArray if is_large else pa.ListArray
        items = _inner(pc.list_flatten(array), steps)
        return lists.from_arrays(list_offsets(array, is_large), items, mask=array.is_null())
    return _inner(pc.struct_field(array, [steps[0]]), steps[1:])


def _has_large_offsets(type_: pa.DataType) -> bool:
    return pa.types.is_large_list(type_) or pa.types.is_large_list_view(type_)


def _num_leaves(type_: pa.DataType) -> int:
    """The number of Parquet leaf columns of a type."""
    if isinstance(type_, pa.BaseExtensionType):
        return _num_leaves(type_.storage_type)
    if pa.types.is_struct(type_):
        return sum(_num_leaves(field.type) for field in type_)
    if pa.types.is_map(type_):
        return _num_leaves(type_.key_type) + _num_leaves(type_.item_type)
    return _num_leaves(type_.value_type) if is_list_like(type_) else 1
