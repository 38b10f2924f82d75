"""The common type as which columns of two files are read, also within structs, lists and maps."""

import pyarrow as pa

from pipeline.arrays.column_types import extension_of, inner_fields, list_type, nullable, plain_type
from pipeline.arrays.nested_columns import is_list_like


def common_field(a: pa.Field, b: pa.Field) -> pa.Field | None:
    """The common field of columns of two files, as carried fields, or None.

    Null is compatible with any type. Types may differ in encoding (dictionary, large, kind of list, width of
    decimals, UUID or JSON and their storage), and structs in the order of fields. The result is nullable if one
    is, and has the metadata that both have.
    """
    if pa.types.is_null(b.type) or pa.types.is_null(a.type):
        return nullable(a if pa.types.is_null(b.type) else b.with_name(a.name))
    if extension_of(a) != extension_of(b):
        return None
    type_ = _common_type(a.type, b.type)
    if type_ is None:
        return None
    others = b.metadata or {}
    metadata = {key: value for key, value in (a.metadata or {}).items() if others.get(key) == value}
    return pa.field(a.name, type_, a.nullable or b.nullable, metadata or None)


def field_order(a: pa.StructType, b: pa.StructType) -> list[int] | None:
    """For each field of `a` its index in `b`; None if they do not have the same names."""
    names, others = ([field.name for field in type_] for type_ in (a, b))
    if names == others:
        return list(range(len(names)))
    if sorted(names) != sorted(others) or len(set(names)) < len(names):
        return None
    return [others.index(name) for name in names]


def _common_type(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        order = field_order(a, b)
        fields = _common_fields(list(a), [b.field(index) for index in order]) if order is not None else None
        return None if fields is None else pa.struct(fields)
    if (pa.types.is_map(a) and pa.types.is_map(b)) or (is_list_like(a) and is_list_like(b)):
        fields = _common_fields(inner_fields(a), inner_fields(b))
        if fields is None:
            return None
        if pa.types.is_map(a):
            return pa.map_(fields[0].with_nullable(False), fields[1], keys_sorted=a.keys_sorted and b.keys_sorted)
        return list_type(a if _are_of_a_kind(a, b) else pa.list_(pa.null()), fields[0])
    if a == b:
        return a
    plain = plain_type(a)
    return plain if plain == plain_type(b) else None


def _common_fields(a: list[pa.Field], b: list[pa.Field]) -> list[pa.Field] | None:
    common = [common_field(one, other) for one, other in zip(a, b, strict=True)]
    fields = [field for field in common if field is not None]
    return fields if len(fields) == len(common) else None


def _are_of_a_kind(a: pa.DataType, b: pa.DataType) -> bool:
    return list_type(a, pa.field("item", pa.null())) == list_type(b, pa.field("item", pa.null()))
