"""Ragged arrays against lists of lists."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrays.ragged import Ragged, concat_rows, cut, offsets_of, ranges

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
