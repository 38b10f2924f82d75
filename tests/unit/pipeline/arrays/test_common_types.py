from collections.abc import Callable

import pyarrow as pa
import pytest

from pipeline.arrays.common_types import common_field, field_order

AGREEING = [
    (pa.string(), pa.large_string(), pa.string()),
    (pa.large_string(), pa.large_string(), pa.large_string()),
    (pa.null(), pa.string(), pa.string()),
    (pa.null(), pa.null(), pa.null()),
    (pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int16(), pa.string()), pa.string()),
    (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
    (pa.decimal32(9, 2), pa.decimal128(9, 2), pa.decimal128(9, 2)),
    (pa.json_(), pa.string(), pa.string()),
    (pa.json_(), pa.json_(), pa.json_()),
    (pa.uuid(), pa.binary(16), pa.binary(16)),
    (pa.null(), pa.uuid(), pa.uuid()),
    (pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_(pa.int8())),
    (pa.large_list(pa.string()), pa.large_list(pa.large_string()), pa.large_list(pa.string())),
    (pa.list_(pa.string(), 2), pa.list_(pa.large_string(), 2), pa.list_(pa.string(), 2)),
    (pa.list_(pa.int8(), 2), pa.list_(pa.int8(), 3), pa.list_(pa.int8())),
    (pa.struct([("a", pa.null()), ("b", pa.int8())]), pa.struct([("b", pa.int8()), ("a", pa.string())]),
     pa.struct([("a", pa.string()), ("b", pa.int8())])),
]  # fmt: skip
DIFFERING = [
    (pa.int8(), pa.int16()),
    (pa.string(), pa.binary()),
    (pa.timestamp("us"), pa.timestamp("ns")),
    (pa.timestamp("us"), pa.timestamp("us", "UTC")),
    (pa.decimal128(9, 2), pa.decimal128(9, 3)),
    (pa.uuid(), pa.binary(15)),
    (pa.bool8(), pa.int8()),
    (pa.opaque(pa.int8(), "a", "v"), pa.opaque(pa.int8(), "b", "v")),
    (pa.struct([("a", pa.int8())]), pa.struct([("b", pa.int8())])),
    (pa.struct([("a", pa.int8())]), pa.struct([("a", pa.int8()), ("b", pa.int8())])),
    (pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8())),
    (pa.list_(pa.int8()), pa.int8()),
]
DEPTHS: dict[str, Callable[[pa.DataType], pa.DataType]] = {
    "top": lambda type_: type_,
    "list": pa.list_,
    "fixed-size list": lambda type_: pa.list_(type_, 4),
    "struct": lambda type_: pa.struct([("x", type_), ("y", pa.int8())]),
    "map": lambda type_: pa.map_(pa.string(), type_),
    "list of a map of structs": lambda type_: pa.list_(pa.map_(pa.string(), pa.struct([("x", type_)]))),
}


def field(type_: pa.DataType, nullable: bool = True, **metadata: str) -> pa.Field:
    return pa.field("c", type_, nullable, metadata or None)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("a", "b", "expected"), AGREEING, ids=str)
def test_the_same_types_agree_at_every_depth(
    a: pa.DataType, b: pa.DataType, expected: pa.DataType, depth: str
) -> None:
    nested = DEPTHS[depth]
    assert common_field(field(nested(a)), field(nested(b))) == field(nested(expected))
    other_way = common_field(field(nested(b)), field(nested(a)))
    assert other_way is not None
    assert common_field(other_way, field(nested(expected))) == other_way


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("a", "b"), DIFFERING, ids=str)
def test_the_same_types_differ_at_every_depth(a: pa.DataType, b: pa.DataType, depth: str) -> None:
    nested = DEPTHS[depth]
    assert common_field(field(nested(a)), field(nested(b))) is None
    assert common_field(field(nested(b)), field(nested(a))) is None


@pytest.mark.parametrize("depth", [depth for depth in DEPTHS if depth != "top"])
def test_keys_of_maps_agree_too(depth: str) -> None:
    nested = DEPTHS[depth]
    a, b = (field(nested(pa.map_(key, pa.int8()))) for key in (pa.string(), pa.large_string()))
    assert common_field(a, b) == a
    assert common_field(a, field(nested(pa.map_(pa.int8(), pa.int8())))) is None


@pytest.mark.parametrize("depth", DEPTHS)
def test_nulls_are_allowed_where_one_allows_them(depth: str) -> None:
    def nested(nullable: bool) -> pa.Field:
        return field(DEPTHS[depth](pa.struct([pa.field("r", pa.int8(), nullable)])), nullable)

    assert common_field(nested(False), nested(False)) == nested(False)
    assert common_field(nested(False), nested(True)) == common_field(nested(True), nested(False)) == nested(True)
    # A null has all fields, and all of them are null.
    nothing = field(DEPTHS[depth](pa.null()))
    assert common_field(nested(False), nothing) == common_field(nothing, nested(False)) == nested(True)


def test_metadata_stays_where_it_is_the_same() -> None:
    a, b = field(pa.int8(), one="1", two="2"), field(pa.int8(), one="1", two="3")
    common = common_field(a, b)
    assert common is not None
    assert common.metadata == {b"one": b"1"}


@pytest.mark.parametrize("depth", DEPTHS)
def test_extension_types_of_libraries_must_be_the_same(depth: str) -> None:
    def nested(**names: str) -> pa.Field:
        metadata = {f"ARROW:extension:{key}": value for key, value in names.items()}
        return field(DEPTHS[depth](pa.struct([pa.field("e", pa.int64(), metadata=metadata or None)])))

    months, days = nested(name="period", metadata="M"), nested(name="period", metadata="D")
    common = common_field(months, months)
    assert common is not None
    assert common.equals(months, check_metadata=True)
    assert common_field(months, days) is None
    assert common_field(months, nested()) is None
    common = common_field(field(DEPTHS[depth](pa.struct([("e", pa.null())]))), days)
    assert common is not None
    assert common.type.equals(days.type, check_metadata=True)


def test_fields_of_structs_are_found_by_name() -> None:
    def order(a: str, b: str) -> list[int] | None:
        return field_order(*(pa.struct([(name, pa.int8()) for name in names]) for names in (a, b)))

    assert order("abc", "cab") == [1, 2, 0]
    assert order("aab", "aab") == [0, 1, 2]
    assert order("aab", "aba") is None
    assert order("a", "b") is None
