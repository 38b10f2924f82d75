"""The Arrow types of a column: as carried from its file to the output, and as sent between stages.

A carried field keeps nullability, metadata and extension types. Extension types of Arrow itself (UUID, JSON,
tensors) are used as types. Those of other libraries may not be registered in every process, so they are
represented as Arrow does with unregistered ones: by their storage type, with name and parameters in the field's
metadata. Those whose values or parameters are pickles are not kept, as readers may run them.
"""

import base64
import json
from collections.abc import Callable, Iterator

import pyarrow as pa

from pipeline.arrays.nested_columns import is_list_like

_NAME, _PARAMETERS = b"ARROW:extension:name", b"ARROW:extension:metadata"
# In place of `_NAME`, of the same length: Arrow takes the field for one of a plain type, and looks for no class.
_HIDDEN_NAME = b"xlmr-:extension:name"
# In base64, without the characters that neighbours take part in, at each place among three bytes.
_ENCODED_NAMES = tuple(base64.b64encode(b"\0" * place + _NAME)[4:-4] for place in range(3))
_OF_ARROW = {b"arrow.bool8", b"arrow.fixed_shape_tensor", b"arrow.json", b"arrow.opaque", b"arrow.uuid"}
_PICKLED = {b"arrow.py_extension_type", b"ray.data.arrow_pickled_object"}
_OF_RAY = b"ray.data."  # Ray 2.49 to 2.54 pickled the parameters, which are JSON otherwise
_FIELD_ID = b"PARQUET:field_id"


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type without its encoding: no dictionary, views, 64-bit offsets or width of decimals.

    UUID and JSON become their storage type, as many writers leave these logical types out.
    """
    if pa.types.is_dictionary(type_):
        return plain_type(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_):
        return pa.binary()
    if pa.types.is_decimal(type_):
        return (pa.decimal128 if type_.precision <= 38 else pa.decimal256)(type_.precision, type_.scale)
    if isinstance(type_, pa.UuidType | pa.JsonType):
        return plain_type(type_.storage_type)
    return type_


def stored_type(type_: pa.DataType) -> pa.DataType:
    """The type with extension types replaced by their storage, at any depth; without metadata, all nullable."""
    if isinstance(type_, pa.BaseExtensionType):
        return stored_type(type_.storage_type)
    return with_inner(type_, lambda field: pa.field(field.name, stored_type(field.type)))


def sent_type(type_: pa.DataType) -> pa.DataType:
    """The type between stages: without extension types and views, at any depth.

    Ray cannot send views, and Arrow cannot cast or concatenate all extension types.
    """
    return _without_views(stored_type(type_))


def _without_views(type_: pa.DataType) -> pa.DataType:
    return with_inner(_without_view(type_), lambda field: field.with_type(_without_views(field.type)))


def carried_field(field: pa.Field) -> pa.Field:
    """The field as it is written, at any depth: without views, which Parquet does not have, and field ids.

    Readers that use field ids would not find the output's other columns, which have none.
    """
    metadata, type_ = dict(field.metadata or {}), field.type
    metadata.pop(_FIELD_ID, None)
    if isinstance(type_, pa.ExtensionType):
        metadata |= {_NAME: type_.extension_name.encode(), _PARAMETERS: type_.__arrow_ext_serialize__()}
        type_ = type_.storage_type
    if _HIDDEN_NAME in metadata:
        metadata[_NAME] = metadata.pop(_HIDDEN_NAME)
    type_ = with_inner(_without_view(type_), carried_field)
    if isinstance(type_, pa.BaseExtensionType) or _holds_pickles(metadata):
        metadata.pop(_NAME, None)
        metadata.pop(_PARAMETERS, None)
    # Sorted, so that parts are reproducible.
    carried = pa.field(field.name, type_, field.nullable, dict(sorted(metadata.items())) or None)
    # Arrow makes its own types of name and parameters.
    return _reread(carried) if metadata.get(_NAME) in _OF_ARROW else carried


def _holds_pickles(metadata: dict[bytes, bytes]) -> bool:
    """Whether readers who know the extension type may unpickle its values or its parameters."""
    name = metadata.get(_NAME, b"")
    if name in _PICKLED or not name.startswith(_OF_RAY):
        return name in _PICKLED
    try:
        json.loads(metadata.get(_PARAMETERS, b""))
    except ValueError:
        return True
    return False


def _reread(field: pa.Field) -> pa.Field:
    return pa.ipc.read_schema(pa.schema([field]).serialize()).field(0)


def hide_extension_names(schema: bytes) -> bytes:
    """A serialized schema, of the same length, whose extension types Arrow does not look up by their names.

    Classes that are registered for them in this process may raise errors, or unpickle. `carried_field` undoes it.
    """
    return schema.replace(_NAME, _HIDDEN_NAME)


def holds_extension_names(data: bytes) -> bool:
    """Whether a serialized schema may be in the data, in base64 too, that has extension types."""
    return any(name in data for name in _ENCODED_NAMES)


def packed(schema: pa.Schema) -> bytes:
    """Serialized carried fields. Pickle loses metadata within fixed-size lists, and whether maps are sorted."""
    return hide_extension_names(schema.serialize().to_pybytes())


def unpacked(schema: bytes) -> pa.Schema:
    """The carried fields of `packed`, independent of the extension types registered in this process."""
    return pa.schema([carried_field(field) for field in pa.ipc.read_schema(pa.py_buffer(schema))])


def extension_of(field: pa.Field) -> tuple[str, bytes] | None:
    """Name and parameters of a carried field's extension type of another library, or None."""
    metadata = field.metadata or {}
    return (metadata[_NAME].decode(), metadata.get(_PARAMETERS, b"")) if _NAME in metadata else None


def nullable(field: pa.Field) -> pa.Field:
    """The field, nullable at any depth."""
    return field.with_type(with_inner(field.type, nullable)).with_nullable(True)


def all_fields(field: pa.Field) -> Iterator[pa.Field]:
    """The field and all nested fields."""
    yield field
    for inner in inner_fields(field.type):
        yield from all_fields(inner)


def inner_fields(type_: pa.DataType) -> list[pa.Field]:
    """The fields of a struct, the item of a list, or the key and item of a map."""
    if pa.types.is_struct(type_):
        return list(type_)
    if pa.types.is_map(type_):
        return [type_.key_field, type_.item_field]
    return [type_.value_field] if is_list_like(type_) else []


def with_inner(type_: pa.DataType, change: Callable[[pa.Field], pa.Field]) -> pa.DataType:
    """The type with each of its inner fields changed."""
    fields = [change(field) for field in inner_fields(type_)]
    if pa.types.is_struct(type_):
        return pa.struct(fields)
    if pa.types.is_map(type_):
        key, item = fields
        return pa.map_(key.with_nullable(False), item, keys_sorted=type_.keys_sorted)
    return list_type(type_, fields[0]) if fields else type_


def list_type(kind: pa.DataType, item: pa.Field) -> pa.DataType:
    """A list type of the same kind as another one, with other items."""
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(item, kind.list_size)
    if pa.types.is_large_list(kind):
        return pa.large_list(item)
    if pa.types.is_list_view(kind):
        return pa.list_view(item)
    return pa.large_list_view(item) if pa.types.is_large_list_view(kind) else pa.list_(item)


def _without_view(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_list_view(type_):
        return pa.list_(type_.value_field)
    if pa.types.is_large_list_view(type_):
        return pa.large_list(type_.value_field)
    return plain_type(type_) if pa.types.is_string_view(type_) or pa.types.is_binary_view(type_) else type_
