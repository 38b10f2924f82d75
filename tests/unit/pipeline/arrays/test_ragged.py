"""Ragged arrays against lists of lists."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrays.ragged import (
    Ragged,
    concat_rows,
    cut,
    descending,
    list_column,
    offsets_of,
    ranges,
    segment_argmax,
    segment_of,
    segment_softmax,
    softmax,
)

Rows = list[list[int]]
ROWS: st.SearchStrategy[Rows] = st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), max_size=6)


def ragged(rows: Rows) -> Ragged:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return Ragged(np.array([value for row in rows for value in row], dtype=np.int32), offsets_of(lengths))


def listed(rows: Ragged) -> Rows:
    return [rows.values[begin : begin + n].tolist() for begin, n in zip(rows.starts, rows.lengths, strict=True)]


@given(ROWS)
def test_rows_come_back_as_they_were(rows: Rows) -> None:
    found = ragged(rows)
    assert len(found) == len(rows)
    assert listed(found) == rows
    assert found.lengths.tolist() == [len(row) for row in rows]
    assert found.offsets.dtype == np.int64


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 5)), max_size=8))
def test_ranges(cases: list[tuple[int, int]]) -> None:
    starts, lengths = (np.array([case[i] for case in cases], dtype=np.int64) for i in range(2))
    assert ranges(starts, lengths).tolist() == [start + i for start, length in cases for i in range(length)]


@given(st.lists(st.tuples(*[st.lists(st.integers(0, 99), max_size=4)] * 3), max_size=6))
def test_join(rows: list[tuple[list[int], list[int], list[int]]]) -> None:
    parts = [ragged([row[i] for row in rows]) for i in range(3)]
    joined = concat_rows(*parts)
    assert joined.values.dtype == np.int32
    assert listed(joined) == [a + b + c for a, b, c in rows]


@given(ROWS, st.data())
def test_cut(rows: Rows, data: st.DataObject) -> None:
    """Rows may be named several times and in any order."""
    index = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    slices = []
    for i in index:
        begin = data.draw(st.integers(0, len(rows[i])))
        slices.append((begin, data.draw(st.integers(begin, len(rows[i])))))
    begins, ends = (np.array([s[k] for s in slices], dtype=np.int64) for k in range(2))
    found = cut(ragged(rows), np.array(index, dtype=np.int64), begins, ends)
    assert listed(found) == [rows[i][begin:end] for i, (begin, end) in zip(index, slices, strict=True)]


@given(st.lists(st.integers(0, 99), max_size=4), st.integers(0, 5))
def test_repeated(row: list[int], count: int) -> None:
    assert listed(Ragged.repeated(row, count)) == [row] * count


SEGMENTS = st.lists(st.lists(st.floats(-50, 50, width=32), max_size=5), max_size=6)


def flattened(rows: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([value for row in rows for value in row], dtype=np.float32)
    return values, np.cumsum([0, *map(len, rows)], dtype=np.int64)


@given(SEGMENTS)
def test_segments_are_what_a_loop_over_them_finds(rows: list[list[float]]) -> None:
    values, offsets = flattened(rows)
    expected = [p for row in rows for p in torch.tensor(row, dtype=torch.float64).softmax(0).tolist()]
    assert segment_softmax(values, offsets).tolist() == pytest.approx(expected, rel=1e-12)
    assert segment_of(offsets).tolist() == [i for i, row in enumerate(rows) for _ in row]
    best = [offset + row.index(max(row)) for offset, row in zip(offsets.tolist(), rows, strict=False) if row]
    assert segment_argmax(values, offsets).tolist() == best
    ordered = [value for row in rows for value in sorted(row, reverse=True)]
    assert values[descending(values, offsets)].tolist() == ordered


@given(SEGMENTS)
def test_a_list_column_has_one_list_a_segment(rows: list[list[float]]) -> None:
    _, offsets = flattened(rows)
    column = list_column(segment_of(offsets), offsets)
    column.validate(full=True)
    assert column.to_pylist() == [[i] * len(row) for i, row in enumerate(rows)]


def test_the_order_is_stable_and_ends_with_what_is_no_number() -> None:
    values = np.array([1, np.nan, 1, 2, np.nan], dtype=np.float32)
    offsets = np.array([0, 4, 4, 5])
    assert descending(values, offsets).tolist() == [3, 0, 2, 1, 4]
    assert segment_argmax(values, offsets).tolist() == [3, 4]


def test_softmax_is_of_rows_and_does_not_overflow() -> None:
    logits = np.array([[1e4, 0, -1e4], [0, 0, 0]], dtype=np.float32)
    assert softmax(logits) == pytest.approx(np.array([[1, 0, 0], [1 / 3] * 3]))
    assert segment_softmax(logits.ravel(), np.array([0, 3, 6])) == pytest.approx(np.array([1, 0, 0] + [1 / 3] * 3))
