import pyarrow as pa
import pytest

from pipeline.arrays.column_types import (
    all_fields,
    carried_field,
    extension_of,
    nullable,
    packed,
    plain_type,
    sent_type,
    unpacked,
)

REQUIRED = pa.field("a", pa.int8(), nullable=False, metadata={"key": "value"})
NAMED = {b"ARROW:extension:name": b"of.a.library", b"ARROW:extension:metadata": b"parameters"}


@pytest.mark.parametrize(
    "type_",
    [
        pa.string_view(),
        pa.binary_view(),
        pa.list_(pa.string_view()),
        pa.large_list(pa.list_(pa.binary_view(), 1)),
        pa.list_view(pa.string_view()),
        pa.large_list_view(pa.int8()),
        pa.map_(pa.string_view(), pa.list_view(pa.string_view())),
        pa.struct([pa.field("a", pa.struct([pa.field("b", pa.string_view())]))]),
        pa.opaque(pa.list_view(pa.string_view()), "kind", "vendor"),
    ],
    ids=str,
)
def test_no_views_are_sent_at_any_depth(type_: pa.DataType) -> None:
    assert "view" not in str(sent_type(type_))


@pytest.mark.parametrize(
    "type_",
    [
        pa.int8(),
        pa.large_string(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.list_(pa.field("element", pa.int8())),
        pa.map_(pa.string(), pa.int8(), keys_sorted=True),
        pa.struct([pa.field("a", pa.large_list(pa.string()))]),
        pa.list_(pa.float32(), 3),
    ],
    ids=str,
)
def test_types_without_views_are_sent_as_they_are(type_: pa.DataType) -> None:
    assert sent_type(type_) == carried_field(pa.field("x", type_)).type == type_


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (pa.list_(REQUIRED), pa.list_(pa.field("a", pa.int8()))),
        (pa.struct([REQUIRED]), pa.struct([pa.field("a", pa.int8())])),
        (pa.map_(pa.uuid(), REQUIRED), pa.map_(pa.binary(16), pa.field("a", pa.int8()))),
        (pa.list_(pa.json_()), pa.list_(pa.string())),
        (pa.fixed_shape_tensor(pa.int8(), (2, 3)), pa.list_(pa.int8(), 6)),
        (pa.opaque(pa.struct([("a", pa.bool8())]), "kind", "vendor"), pa.struct([("a", pa.int8())])),
    ],
    ids=str,
)
def test_extensions_are_sent_as_stored_without_metadata_and_constraints(
    type_: pa.DataType, expected: pa.DataType
) -> None:
    assert sent_type(type_).equals(expected, check_metadata=True)


class OfALibrary(pa.ExtensionType):
    """An extension type as libraries define them in Python, which some processes register."""

    def __init__(self) -> None:
        super().__init__(pa.int8(), "of.a.library")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"parameters"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "OfALibrary":
        return cls()


def test_extensions_of_libraries_are_carried_as_their_storage_with_their_name() -> None:
    found = carried_field(pa.field("x", OfALibrary(), metadata={"key": "value"}))
    assert found.equals(pa.field("x", pa.int8(), metadata={**NAMED, b"key": b"value"}), check_metadata=True)
    assert extension_of(found) == ("of.a.library", b"parameters")
    inner = carried_field(pa.field("x", pa.list_(pa.struct([pa.field("a", OfALibrary())]))))
    expected = pa.list_(pa.struct([pa.field("a", pa.int8(), metadata=NAMED)]))
    assert inner.type.equals(expected, check_metadata=True)
    assert extension_of(carried_field(pa.field("x", pa.uuid()))) is None


@pytest.mark.parametrize("is_registered", [False, True])
def test_schemas_are_packed_whole_whatever_is_registered(is_registered: bool) -> None:
    named = pa.field("item", pa.int8(), nullable=False, metadata={**NAMED, "key": "value"})
    types = [
        pa.list_(named, 2),
        pa.map_(pa.string(), named.with_name("value"), keys_sorted=True),
        pa.struct([named]),
        pa.list_(pa.uuid()),
    ]
    fields = [named, *(pa.field(str(i), type_, i > 1) for i, type_ in enumerate(types))]
    schema = pa.schema([carried_field(field) for field in fields])
    if is_registered:
        pa.register_extension_type(OfALibrary())
    try:
        found = unpacked(packed(schema))
    finally:
        if is_registered:
            pa.unregister_extension_type("of.a.library")
    assert found.equals(schema, check_metadata=True)
    assert str(found) == str(schema)


def test_ids_of_fields_are_left_behind_and_the_rest_is_carried() -> None:
    inner = pa.field("a", pa.string_view(), nullable=False, metadata={"PARQUET:field_id": "2", "key": "value"})
    found = carried_field(pa.field("x", pa.struct([inner]), nullable=False, metadata={"PARQUET:field_id": "1"}))
    expected = pa.field("a", pa.string(), nullable=False, metadata={"key": "value"})
    assert found.equals(pa.field("x", pa.struct([expected]), nullable=False), check_metadata=True)
    assert found.metadata is None


def test_fields_within() -> None:
    inner = [pa.field("l", pa.list_(REQUIRED)), pa.field("m", pa.map_(pa.string(), REQUIRED))]
    field = pa.field("x", pa.struct(inner))
    assert [inner.name for inner in all_fields(field)] == ["x", "l", "a", "m", "key", "a"]
    fields = list(all_fields(nullable(field)))
    assert [inner.name for inner in fields if not inner.nullable] == ["key"]


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (pa.dictionary(pa.int8(), pa.large_string()), pa.string()),
        (pa.binary_view(), pa.binary()),
        (pa.decimal32(9, 2), pa.decimal128(9, 2)),
        (pa.decimal256(38, 2), pa.decimal128(38, 2)),
        (pa.decimal256(39, 2), pa.decimal256(39, 2)),
        (pa.json_(pa.large_string()), pa.string()),
        (pa.uuid(), pa.binary(16)),
        (pa.bool8(), pa.bool8()),
        (pa.list_(pa.large_string()), pa.list_(pa.large_string())),
    ],
    ids=str,
)
def test_plain_types(type_: pa.DataType, expected: pa.DataType) -> None:
    assert plain_type(type_) == expected
