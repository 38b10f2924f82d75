"""Hypothesis strategies for Arrow arrays of any type of an output, and the way to cut and chunk them."""

import pyarrow as pa
from hypothesis import strategies as st

FLOATS = [0.0, -0.0, 1.0, -2.5, 0.125, float("nan"), float("inf"), float("-inf")]


def values_of(type_: pa.DataType) -> st.SearchStrategy[object]:
    """Values of a type, of so few that two are often equal, and lists so short that they often have one length."""
    return st.one_of(st.none(), _present(type_)) if not pa.types.is_null(type_) else st.none()


def _present(type_: pa.DataType) -> st.SearchStrategy[object]:
    if pa.types.is_struct(type_):
        return st.fixed_dictionaries({field.name: values_of(field.type) for field in type_})
    if pa.types.is_fixed_size_list(type_):
        return st.lists(values_of(type_.value_type), min_size=type_.list_size, max_size=type_.list_size)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return st.lists(values_of(type_.value_type), max_size=2)
    if pa.types.is_floating(type_):
        return st.sampled_from(FLOATS)
    if pa.types.is_boolean(type_):
        return st.booleans()
    if pa.types.is_integer(type_):
        return st.integers(0, 2)
    return st.sampled_from(["", "a", "ä"])


def columns_of(type_: pa.DataType, num_rows: int) -> st.SearchStrategy[pa.ChunkedArray]:
    """Columns of `num_rows` rows, each chunk a slice of a longer array."""
    row = values_of(type_)

    def column(rows: list[object], cut: int) -> pa.ChunkedArray:
        before, after = pa.array([*rows[:1], *rows], type_), pa.array([*rows, *rows[:1]], type_)
        return pa.chunked_array([before[1 : cut + 1], after[cut:num_rows]], type_)

    rows = st.lists(row, min_size=num_rows, max_size=num_rows)
    return st.builds(column, rows, st.integers(0, num_rows))


_LEAVES = st.sampled_from(
    [
        pa.string(), pa.int32(), pa.bool_(), pa.float16(), pa.float32(), pa.float64(), pa.null(),
        pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.float32(), 2), pa.list_(pa.float16(), 1),
        pa.list_(pa.int8(), 2), pa.list_(pa.uint8(), 2), pa.list_(pa.string(), 2),
    ]
)  # fmt: skip
TYPES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        st.lists(inner, min_size=1, max_size=2).map(
            lambda types: pa.struct([(name, type_) for name, type_ in zip("xy", types, strict=False)])
        ),
    ),
    max_leaves=4,
)
"""Types of columns: leaves, vectors, and lists and structs of them."""
