"""Differences between two columns of the same rows, as figures that add up over parts. Nothing is read here.

Values are compared by their Arrow types, at any depth: structs by field, lists by position. Values that are null
on both sides are equal; values that are null on one side are counted, and nothing within them is compared.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.arrays.casting import cast_column
from pipeline.arrays.column_types import plain_type, sent_type
from pipeline.arrays.nested_columns import is_list_like
from pipeline.errors import InputError

Kind = Literal["struct", "list", "value", "number", "vector", "bits"]
"""Structs and lists contain others; the rest are leaves. A number is floating point, a value only equal or not."""

Number = TypeVar("Number", bound=np.generic)

# Numbers converted to float64 at a time, on each side, since the vectors of a part's tokens may take gigabytes.
_BLOCK_SIZE = 2**20


@dataclass(frozen=True)
class Difference:
    """The differences between the pairs of values at one path; `+` merges those of two parts.

    Attributes:
        kind: what the values are.
        num_compared: pairs without null.
        num_one_null: pairs with one null.
        num_different: compared pairs that differ; for lists those of different lengths, whose items are not
            compared; 0 for structs, whose fields have their own.
        num_different_rows: rows of the column with a pair that differs or has one null. Many differences in few
            rows suggest lists whose items have moved.
        num_not_finite: pairs that differ without a finite difference or cosine, because of NaN or infinity. NaN
            equals NaN here.
        num_measured: pairs with a finite difference or a cosine, over which the next figures are taken.
        sum_difference, greatest_difference: of |found - expected|.
        sum_relative: of |found - expected| / max(|found|, |expected|), which is 0 to 2, and 0 for two zeros.
        sum_cosine: of vectors; 1 for equal ones, even zeros; 0 for a zero vector and any other.
        least_cosine: the minimum; 1 if there are none.
        num_bits, num_different_bits: of binary vectors.
    """

    kind: Kind
    num_compared: int = 0
    num_one_null: int = 0
    num_different: int = 0
    num_different_rows: int = 0
    num_not_finite: int = 0
    num_measured: int = 0
    sum_difference: float = 0.0
    greatest_difference: float = 0.0
    sum_relative: float = 0.0
    sum_cosine: float = 0.0
    least_cosine: float = 1.0
    num_bits: int = 0
    num_different_bits: int = 0

    def __add__(self, other: "Difference") -> "Difference":
        """The differences of both parts, which are of the same kind."""
        merge = {"greatest_difference": max, "least_cosine": min}
        figures = [field.name for field in fields(self) if field.name != "kind"]
        merged = {n: merge.get(n, operator.add)(getattr(self, n), getattr(other, n)) for n in figures}
        return Difference(self.kind, **merged)

    @property
    def is_equal(self) -> bool:
        """Whether no pair differs."""
        return self.num_different == 0 and self.num_one_null == 0


def column_differences(name: str, expected: pa.ChunkedArray, found: pa.ChunkedArray) -> dict[str, Difference]:
    """The figures of a column of as many rows on both sides, by path.

    Paths are `topic`, its field `topic.label`, the items of a list `tags[]`, their field `tags[].entity`; parents
    come first. Encodings (dictionary, view, large) may differ, and so may the dtypes of vectors: float32, float16
    and int8 are compared by their cosine.

    Raises InputError, naming the path, if the types cannot be compared.
    """
    require_comparable(name, expected.type, found.type)
    rows = np.arange(len(expected), dtype=np.int64)
    # In the types sent between processes: Arrow cannot filter views and extension types in structs and lists.
    one, other = (cast_column(column, sent_type(column.type)).combine_chunks() for column in (expected, found))
    return dict(_differences(name, one, other, rows))


def require_comparable(path: str, expected: pa.DataType, found: pa.DataType) -> None:
    """Raise InputError, naming the path within the column, unless values of these types can be compared."""
    expected, found = plain_type(expected), plain_type(found)
    kind = _kind(expected)
    is_same = kind == _kind(found)
    if is_same and kind == "struct":
        is_same = [field.name for field in expected] == [field.name for field in found]
    elif is_same and kind in ("vector", "bits"):
        is_same = expected.list_size == found.list_size
    elif is_same and kind != "list":
        is_same = expected == found
    if not is_same:
        raise InputError(
            f"column {path}: found type {found}, expected {expected}; compare outputs of the same heads and "
            "carried columns, or leave the column out with --columns"
        )
    if kind == "struct":
        for one, other in zip(expected, found, strict=True):
            require_comparable(f"{path}.{one.name}", one.type, other.type)
    elif kind == "list":
        require_comparable(f"{path}[]", _item_type(expected), _item_type(found))


def _kind(type_: pa.DataType) -> Kind:
    type_ = plain_type(type_)
    if pa.types.is_struct(type_):
        return "struct"
    if pa.types.is_fixed_size_list(type_):
        if pa.types.is_floating(type_.value_type) or pa.types.is_int8(type_.value_type):
            return "vector"
        if pa.types.is_uint8(type_.value_type):
            return "bits"
    if is_list_like(type_) or pa.types.is_map(type_):
        return "list"
    return "number" if pa.types.is_floating(type_) else "value"


def _item_type(type_: pa.DataType) -> pa.DataType:
    """Type of the items; a map is a list of its entries."""
    return _entries_type(type_) if pa.types.is_map(type_) else plain_type(type_).value_type


def _entries_type(type_: pa.MapType) -> pa.StructType:
    return pa.struct([("key", type_.key_type), ("value", type_.item_type)])


def _decoded(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.list_(_entries_type(array.type))) if pa.types.is_map(array.type) else array


def _differences(
    path: str, expected: pa.Array, found: pa.Array, rows: NDArray[np.int64]
) -> Iterator[tuple[str, Difference]]:
    """`rows` says for each pair which row of the column it is of, in ascending order."""
    expected, found = _decoded(expected), _decoded(found)
    is_there = _booleans(pc.and_(expected.is_valid(), found.is_valid()))
    is_one_null = _booleans(pc.xor(expected.is_valid(), found.is_valid()))
    lone_rows, rows = rows[is_one_null], rows[is_there]
    expected, found = _where(expected, is_there), _where(found, is_there)
    kind = _kind(expected.type)
    if kind == "struct":
        yield path, _counted(Difference(kind), np.zeros(len(rows), dtype=bool), rows, lone_rows)
        for index, field in enumerate(expected.type):
            one, other = (pc.struct_field(array, [index]) for array in (expected, found))
            yield from _differences(f"{path}.{field.name}", one, other, rows)
    elif kind == "list":
        lengths, other_lengths = (pc.list_value_length(array).to_numpy() for array in (expected, found))
        is_same = lengths == other_lengths
        yield path, _counted(Difference(kind), ~is_same, rows, lone_rows)
        one, other = (pc.list_flatten(_where(array, is_same)) for array in (expected, found))
        yield from _differences(f"{path}[]", one, other, np.repeat(rows[is_same], lengths[is_same]))
    else:
        yield path, _counted(*_leaf_difference(kind, expected, found), rows, lone_rows)


def _counted(
    measured: Difference, is_different: NDArray[np.bool_], rows: NDArray[np.int64], lone_rows: NDArray[np.int64]
) -> Difference:
    """Add the counts of pairs; `lone_rows` are the rows of pairs with one null."""
    return replace(
        measured,
        num_compared=len(rows),
        num_one_null=len(lone_rows),
        num_different=int(is_different.sum()),
        num_different_rows=len(np.union1d(rows[is_different], lone_rows)),
    )


def _leaf_difference(kind: Kind, expected: pa.Array, found: pa.Array) -> tuple[Difference, NDArray[np.bool_]]:
    """What is measured of pairs of leaves without nulls, and which of them differ."""
    measure = _MEASURES[kind]
    width = expected.type.list_size if kind in ("vector", "bits") else 1
    size = max(1, _BLOCK_SIZE // max(1, width))
    total, masks = Difference(kind), [np.zeros(0, dtype=bool)]
    for start in range(0, len(expected), size):
        difference, is_different = measure(expected.slice(start, size), found.slice(start, size))
        total += difference
        masks.append(is_different)
    return total, np.concatenate(masks)


def _value_difference(expected: pa.Array, found: pa.Array) -> tuple[Difference, NDArray[np.bool_]]:
    return Difference("value"), _booleans(pc.not_equal(expected, found))


def _number_difference(expected: pa.Array, found: pa.Array) -> tuple[Difference, NDArray[np.bool_]]:
    one, other = _floats(expected), _floats(found)
    is_different = _is_different(one, other)
    with np.errstate(invalid="ignore", over="ignore"):
        all_differences = np.abs(other - one)
    is_measured = np.isfinite(all_differences)
    differences = all_differences[is_measured]
    larger = np.maximum(np.abs(one[is_measured]), np.abs(other[is_measured]))
    relative = np.divide(differences, larger, out=np.zeros_like(larger), where=larger > 0)
    measured = Difference(
        "number",
        num_not_finite=int((is_different & ~is_measured).sum()),
        num_measured=len(differences),
        sum_difference=float(differences.sum()),
        greatest_difference=float(differences.max(initial=0.0)),
        sum_relative=float(relative.sum()),
    )
    return measured, is_different


def _vector_difference(expected: pa.Array, found: pa.Array) -> tuple[Difference, NDArray[np.bool_]]:
    one, other = (_rows(_floats(pc.list_flatten(array)), array) for array in (expected, found))
    is_different = np.any(_is_different(one, other) | _is_null_in_one(expected, found), axis=1)
    is_finite = np.all(np.isfinite(one) & np.isfinite(other), axis=1)
    cosines = np.einsum("nd,nd->n", _directions(one[is_finite]), _directions(other[is_finite]))
    # Products and lengths are rounded: equal vectors would come to a little less or more than 1.
    cosines = np.where(is_different[is_finite], cosines.clip(-1, 1), 1.0)
    measured = Difference(
        "vector",
        num_not_finite=int((is_different & ~is_finite).sum()),
        num_measured=len(cosines),
        sum_cosine=float(cosines.sum()),
        least_cosine=float(cosines.min(initial=1.0)),
    )
    return measured, is_different


def _bits_difference(expected: pa.Array, found: pa.Array) -> tuple[Difference, NDArray[np.bool_]]:
    one, other = (_rows(pc.list_flatten(array).fill_null(0).to_numpy(), array) for array in (expected, found))
    is_different = np.any((one != other) | _is_null_in_one(expected, found), axis=1)
    num_different_bits = int(np.unpackbits(one ^ other).sum())
    return Difference("bits", num_bits=8 * one.size, num_different_bits=num_different_bits), is_different


_MEASURES: dict[Kind, Callable[[pa.Array, pa.Array], tuple[Difference, NDArray[np.bool_]]]] = {
    "value": _value_difference,
    "number": _number_difference,
    "vector": _vector_difference,
    "bits": _bits_difference,
}


def _rows(values: NDArray[Number], vectors: pa.FixedSizeListArray) -> NDArray[Number]:
    return values.reshape(len(vectors), vectors.type.list_size)


def _floats(array: pa.Array) -> NDArray[np.float64]:
    """The values, NaN in place of nulls."""
    return array.to_numpy(zero_copy_only=False).astype(np.float64)


def _is_different(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (one != other) & ~(np.isnan(one) & np.isnan(other))


def _is_null_in_one(one: pa.FixedSizeListArray, other: pa.FixedSizeListArray) -> NDArray[np.bool_]:
    """Which numbers of vectors are null on one side only: `[vectors, list_size]`."""
    first, second = (_rows(_booleans(pc.list_flatten(array).is_valid()), array) for array in (one, other))
    return first != second


def _directions(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors `[n, d]` of length 1, zeros as they are; first scaled, so that no square is too large or small."""
    sizes = np.abs(vectors).max(axis=1, initial=0.0)
    vectors = vectors / np.where(sizes > 0, sizes, 1.0)[:, None]
    lengths = np.linalg.norm(vectors, axis=1)
    return vectors / np.where(lengths > 0, lengths, 1.0)[:, None]


def _where(array: pa.Array, mask: NDArray[np.bool_]) -> pa.Array:
    """The values at which the mask is true; no copy where it is true of all."""
    return array if mask.all() else array.filter(pa.array(mask))


def _booleans(values: pa.BooleanArray) -> NDArray[np.bool_]:
    return values.to_numpy(zero_copy_only=False)
