import itertools
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.arrays.casting import cast_array, cast_column
from pipeline.arrays.column_types import sent_type

DICTIONARY = pa.dictionary(pa.int8(), pa.string())
CATEGORIES = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), pa.array(["b", "a"]))
UUIDS = pa.uuid().wrap_array(pa.array([b"x" * 16, None, b"y" * 16], pa.binary(16)))
VIEWS = pa.struct([("v", pa.list_view(pa.string_view())), ("n", pa.int8())])


MASK = pa.array([False, True, False, False])


def lists(items: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, 2, 2, 2, 3], pa.int32()), items, mask=MASK)


def structs(items: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([items], ["x"], mask=pa.array([False, False, True]))


def maps(items: pa.Array) -> pa.Array:
    return pa.MapArray.from_arrays(pa.array([0, 2, 2, 3], pa.int32()), pa.array(["a", "b", "c"]), items)


CASTS = [
    (pa.array([[None], [None, None], None, []], pa.list_(pa.null())), pa.list_(pa.null())),
    (pa.array([[None], [None] * 2, None, []], pa.list_(pa.null())), pa.large_list(pa.struct([("a", pa.int8())]))),
    (pa.array([[None] * 2, None, [None] * 2], pa.list_(pa.null(), 2)), pa.list_(pa.uuid(), 2)),
    (pa.array([[("k", None)], None, [("k", None), ("l", None)]], pa.map_(pa.string(), pa.null())),
     pa.map_(pa.large_string(), pa.string())),
    (pa.array([{"a": None, "b": 1}, None, {"a": None, "b": 2}], pa.struct([("a", pa.null()), ("b", pa.int8())])),
     pa.struct([("b", pa.int16()), ("a", pa.list_(pa.int8()))])),
    (pa.nulls(3), pa.fixed_shape_tensor(pa.int8(), (2, 2), permutation=[1, 0])),
    (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), pa.list_(pa.int64())),
    (pa.array([["a", None], None, [], ["b"]], pa.list_view(pa.string_view())), pa.list_(pa.string())),
    (pa.array([[[1, 2], None, []], None], pa.large_list_view(pa.list_view(pa.int8()))),
     pa.large_list(pa.list_(pa.int8()))),
    (pa.array([[{"v": ["a"], "n": 1}, None, {"v": None, "n": None}], None], pa.list_(VIEWS)),
     sent_type(pa.list_(VIEWS))),
    (CATEGORIES, pa.large_string()),
    (lists(CATEGORIES), pa.list_(pa.string())),
    (lists(CATEGORIES), pa.large_list(DICTIONARY)),
    (maps(CATEGORIES), pa.map_(pa.string(), pa.string(), keys_sorted=True)),
    (pa.array([Decimal("1.50"), None], pa.decimal32(9, 2)), pa.decimal128(9, 2)),
    (structs(pa.array([1, 2, 3])), pa.struct([pa.field("x", pa.int64(), metadata={"key": "value"})])),
]  # fmt: skip


def slices(array: pa.Array) -> list[pa.Array]:
    return [array[begin:end] for begin, end in itertools.combinations(range(len(array) + 1), 2)] + [array[:0]]


@pytest.mark.parametrize(("array", "type_"), CASTS, ids=lambda case: str(getattr(case, "type", case)))
def test_casts_at_any_depth_of_any_slice(array: pa.Array, type_: pa.DataType) -> None:
    expected = array.to_pylist()
    for part in slices(array):
        found = cast_array(part, type_)
        found.validate(full=True)
        assert found.type.equals(type_, check_metadata=True)
        assert found.to_pylist() == part.to_pylist()
    column = pa.chunked_array([array, array[1:], array[:0]])
    found = cast_column(column, type_)
    assert found.type.equals(type_, check_metadata=True)
    assert found.combine_chunks().to_pylist() == expected + expected[1:]
    assert cast_column(pa.chunked_array([], array.type), type_).type == type_


EXTENSIONS = [
    UUIDS,
    pa.json_().wrap_array(pa.array(["{}", None, "1"])),
    pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(18, dtype=np.float32).reshape(3, 2, 3)),
]


@pytest.mark.parametrize("nest", [lambda items: items, lists, structs, maps, lambda items: lists(structs(items))])
@pytest.mark.parametrize("extension", EXTENSIONS, ids=lambda array: str(array.type))
def test_extensions_become_their_storage_and_come_back(extension: pa.Array, nest: Any) -> None:
    array = nest(extension)
    for part in slices(array):
        stored = cast_array(part, sent_type(array.type))
        stored.validate(full=True)
        assert "extension" not in str(stored.type)
        back = cast_array(stored, array.type)
        assert back.type == array.type
        assert back.equals(part)


def test_nothing_is_done_where_the_type_is_the_same() -> None:
    array = lists(UUIDS)
    assert cast_array(array, array.type) is array


def test_what_is_null_may_hide_values() -> None:
    hidden = pa.array([[1], [2], [3]])
    validity = pa.array([True, False, True]).buffers()[1]
    array = pa.ListArray.from_buffers(hidden.type, 3, [validity, hidden.buffers()[1]], children=[hidden.values])
    assert cast_array(array, pa.large_list(pa.int8())).to_pylist() == [[1], None, [3]]


@pytest.mark.parametrize(
    ("array", "type_"),
    [
        (pa.array([[300]]), pa.list_(pa.int8())),
        (pa.array([{"a": 1}]), pa.struct([("b", pa.int64())])),
        (pa.array([{"a": 1}]), pa.int8()),
        (pa.array([[1, 2]]), pa.list_(pa.int64(), 3)),
        (pa.array([b"\xff"]), pa.string()),
    ],
    ids=str,
)
def test_what_does_not_fit_is_an_error(array: pa.Array, type_: pa.DataType) -> None:
    with pytest.raises(pa.ArrowException):
        cast_array(array, type_)
