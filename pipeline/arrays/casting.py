"""Cast columns of nested types.

Arrow's own cast of nested types fails on slices, nested nulls and extension types, and makes invalid lists of list
views. Here each level is rebuilt, and Arrow casts the leaves.
"""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrays.column_types import stored_type
from pipeline.arrays.common_types import field_order
from pipeline.arrays.nested_columns import is_list_like, list_offsets


def cast_column(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """The column as another type. Raises ArrowException if a value or the type does not fit."""
    return pa.chunked_array([cast_array(chunk, type_) for chunk in column.chunks], type_)


def cast_array(array: pa.Array, type_: pa.DataType) -> pa.Array:
    """The array as another type. Raises ArrowException if a value or the type does not fit."""
    if array.type.equals(type_, check_metadata=True):
        return array
    if len(array) == 0:
        return pa.nulls(0, type_)
    return _cast(pa.array(_AsStored(array)), type_)


class _AsStored:
    """An array without extension types, in the same memory, over Arrow's C data interface.

    Arrow cannot flatten all lists of extension types.
    """

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return stored_type(self._array.type).__arrow_c_schema__(), self._array.__arrow_c_array__()[1]


def _cast(array: pa.Array, type_: pa.DataType) -> pa.Array:
    found = array.type
    if found.equals(type_, check_metadata=True):
        return array
    if isinstance(type_, pa.BaseExtensionType):
        return type_.wrap_array(_cast(array, type_.storage_type))
    if pa.types.is_null(found):
        return pa.nulls(len(array), type_)
    if pa.types.is_struct(found) and pa.types.is_struct(type_):
        return _cast_struct(array, type_)
    if pa.types.is_map(found) and pa.types.is_map(type_):
        return _cast_map(array, type_)
    if pa.types.is_fixed_size_list(found) and pa.types.is_fixed_size_list(type_):
        return _cast_fixed_size_list(array, type_)
    if is_list_like(found) and (pa.types.is_list(type_) or pa.types.is_large_list(type_)):
        is_large = pa.types.is_large_list(type_)
        lists = pa.LargeListArray if is_large else pa.ListArray
        items = _cast(pc.list_flatten(array), type_.value_type)
        return lists.from_arrays(list_offsets(array, is_large), items, type=type_, mask=array.is_null())
    if pa.types.is_dictionary(found) and not pa.types.is_dictionary(type_):
        return _cast(array.dictionary_decode(), type_)
    return array.cast(type_)


def _cast_struct(array: pa.StructArray, type_: pa.StructType) -> pa.Array:
    order = field_order(type_, array.type)
    if order is None:
        raise pa.ArrowTypeError(f"fields of {array.type}, expected those of {type_}")
    children = [_cast(array.field(at), field.type) for at, field in zip(order, type_, strict=True)]
    return pa.StructArray.from_arrays(children, fields=list(type_), mask=array.is_null())


def _cast_map(array: pa.MapArray, type_: pa.MapType) -> pa.Array:
    lists = lists_of_entries(array)
    entries = pc.list_flatten(lists)
    keys, items = _cast(entries.field(0), type_.key_type), _cast(entries.field(1), type_.item_type)
    return pa.MapArray.from_arrays(list_offsets(lists), keys, items, type=type_, mask=array.is_null())


def lists_of_entries(array: pa.MapArray) -> pa.ListArray:
    """The map as lists of structs, in the same memory, as Arrow's functions do not take maps."""
    entries = pa.StructArray.from_arrays([array.keys, array.items], names=["key", "value"])
    validity, offsets = array.buffers()[:2]
    return pa.ListArray.from_buffers(
        pa.list_(entries.type), len(array), [validity, offsets], offset=array.offset, children=[entries]
    )


def _cast_fixed_size_list(array: pa.FixedSizeListArray, type_: pa.FixedSizeListType) -> pa.Array:
    size = type_.list_size
    # Lists of size 0 cannot be made from their items.
    if size != array.type.list_size or size == 0:
        return array.cast(type_)
    items = _cast(array.values.slice(array.offset * size, len(array) * size), type_.value_type)
    return pa.FixedSizeListArray.from_arrays(items, type=type_, mask=array.is_null())
