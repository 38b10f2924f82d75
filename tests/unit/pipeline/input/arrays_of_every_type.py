"""Arrays of every type that Parquet files hold, alone and nested."""

import datetime as dt
import itertools
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

MIN, MAX = -(2**63), 2**63 - 1


def integers(bits: int, is_signed: bool) -> list[int]:
    return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if is_signed else [0, 2**bits - 1]


def times(type_: pa.DataType, values: list[int]) -> pa.Array:
    return pa.array(values, pa.int32() if type_.bit_width == 32 else pa.int64()).view(type_)


def dictionaries(index: pa.DataType, values: list[Any], ordered: bool = False) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([1, 0, 1], index), pa.array(values), ordered=ordered)


def extension(type_: pa.BaseExtensionType, values: list[Any]) -> pa.Array:
    return type_.wrap_array(pa.array(values, type_.storage_type))


def leaves() -> Iterator[tuple[str, pa.Array]]:
    """Arrays of every type that Parquet files hold, with their least and greatest values."""
    yield "null", pa.nulls(2)
    yield "bool", pa.array([True, False])
    for bits, is_signed in itertools.product((8, 16, 32, 64), (True, False)):
        type_ = getattr(pa, f"{'' if is_signed else 'u'}int{bits}")()
        yield str(type_), pa.array(integers(bits, is_signed), type_)
    numbers = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 65504.0]
    yield "float16", pa.array(np.array(numbers, np.float16))
    yield "float32", pa.array(numbers, pa.float32())
    yield "float64", pa.array([*numbers, 1.7e308], pa.float64())
    for kind, digits in ((pa.decimal32, 9), (pa.decimal64, 18), (pa.decimal128, 38), (pa.decimal256, 76)):
        for scale in (0, digits):
            extremes = [Decimal((sign, (9,) * digits, -scale)) for sign in (0, 1)]
            yield f"{kind.__name__} scale {scale}", pa.array(extremes, kind(digits, scale))
    yield "date32", times(pa.date32(), integers(32, True))
    yield "date64", pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)], pa.date64())
    yield "time32[s]", times(pa.time32("s"), [0, 86_399])
    yield "time32[ms]", times(pa.time32("ms"), [0, 86_399_999])
    yield "time64[us]", times(pa.time64("us"), [0, 86_399_999_999])
    yield "time64[ns]", times(pa.time64("ns"), [0, 86_399_999_999_999])
    for unit, zone in itertools.product(("s", "ms", "us", "ns"), (None, "Europe/Berlin")):
        # Parquet has no seconds: Arrow writes milliseconds.
        extremes = [MIN // 1000 + 1, MAX // 1000] if unit == "s" else [MIN, MAX]
        yield f"timestamp[{unit}, {zone}]", times(pa.timestamp(unit, zone), extremes)
    for unit in ("s", "ms", "us", "ns"):
        yield f"duration[{unit}]", times(pa.duration(unit), [MIN, MAX])
    for type_ in (pa.binary(), pa.large_binary(), pa.binary_view()):
        yield str(type_), pa.array([b"", b"\xff\x00" * 20], type_)
    yield "fixed_size_binary", pa.array([b"\xff\x00", b"ab"], pa.binary(2))
    for type_ in (pa.string(), pa.large_string(), pa.string_view()):
        yield str(type_), pa.array(["", "ไทย\x00" * 20], type_)
    for index in (pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.uint64()):
        yield f"dictionary<{index}>", dictionaries(index, ["b", "a", "not used"])
    yield "ordered dictionary", dictionaries(pa.int8(), ["low", "high", "not used"], ordered=True)
    yield "dictionary of bytes", dictionaries(pa.int32(), [b"b", b"a"])
    yield "uuid", extension(pa.uuid(), [b"x" * 16, b"\xff" * 16])
    yield "json", extension(pa.json_(), ["{}", "[1]"])
    yield "bool8", extension(pa.bool8(), [0, 1])
    yield "opaque", extension(pa.opaque(pa.int32(), "kind", "vendor"), [1, -1])
    yield "opaque struct", extension(pa.opaque(pa.struct([("a", pa.null())]), "kind", "vendor"), [{"a": None}] * 2)
    yield "tensor", pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(12, dtype=np.float32).reshape(2, 2, 3))
    strided = pa.fixed_shape_tensor(pa.int8(), (2, 2), dim_names=["x", "y"], permutation=[1, 0])
    yield "strided tensor", extension(strided, [[1, 2, 3, 4], [5, 6, 7, 8]])


def lists(items: pa.Array, kind: Any = pa.list_) -> pa.Array:
    """[[all items], null, [], [null, last item]]"""
    size = len(items)
    values = pa.concat_arrays([items, pa.nulls(1, items.type), items[-1:]])
    large = kind in (pa.large_list, pa.large_list_view)
    offsets = pa.array([0, size, size, size, size + 2], pa.int64() if large else pa.int32())
    of_arrays = (pa.LargeListArray if large else pa.ListArray).from_arrays
    return of_arrays(offsets, values, mask=pa.array([False, True, False, False]))


def list_view_parts(items: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Offsets and sizes of [[last item], [], [all items]]"""
    size = len(items)
    return pa.array([size - 1, 0, 0], pa.int32()), pa.array([1, 0, size], pa.int32())


def structs(items: pa.Array) -> pa.Array:
    """[null, {v: second item, n: 1, nothing: null}, ...]"""
    indices = pa.array(range(len(items)), pa.int64())
    mask = pa.array([i == 0 for i in range(len(items))])
    return pa.StructArray.from_arrays([items, indices, pa.nulls(len(items))], ["v", "n", "nothing"], mask=mask)


def lists_of_structs(items: pa.Array) -> pa.Array:
    """[null, [null, second struct, ...], []]"""
    offsets = pa.array([0, 0, len(items), len(items)], pa.int32())
    return pa.ListArray.from_arrays(offsets, structs(items), mask=pa.array([True, False, False]))


def maps(items: pa.Array) -> pa.Array:
    """[{all items}, null, {}, {a null}]"""
    size = len(items)
    values = pa.concat_arrays([items, pa.nulls(1, items.type)])
    keys = pa.array([f"k{i}" for i in range(size + 1)])
    type_ = pa.map_(pa.string(), items.type, keys_sorted=True)
    offsets, mask = pa.array([0, size, size, size, size + 1], pa.int32()), pa.array([False, True, False, False])
    return pa.MapArray.from_arrays(offsets, keys, values, type=type_, mask=mask)


NESTINGS = {
    "bare": lambda items: pa.concat_arrays([items, pa.nulls(1, items.type)]),
    "in a list": lists,
    "in a large list": lambda items: lists(items, pa.large_list),
    "in a list view": lambda items: pa.ListViewArray.from_arrays(*list_view_parts(items), items),
    "in a struct": structs,
    "in a map": maps,
    "in a list of structs": lists_of_structs,
    "in a struct of a map of lists": lambda items: structs(maps(lists(items))),
    "in fixed-size lists": lambda items: pa.FixedSizeListArray.from_arrays(
        pa.concat_arrays([items[:2], pa.nulls(2, items.type), items[-2:]]), 2, mask=pa.array([False, True, False])
    ),
}
LEAVES = dict(leaves())
