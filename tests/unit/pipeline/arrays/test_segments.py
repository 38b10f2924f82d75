import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrays.segments import descending, list_column, segment_argmax, segment_of, segment_softmax, softmax

ROWS = st.lists(st.lists(st.floats(-50, 50, width=32), max_size=5), max_size=6)


def ragged(rows: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([value for row in rows for value in row], dtype=np.float32)
    return values, np.cumsum([0, *map(len, rows)], dtype=np.int64)


@given(ROWS)
def test_segments_are_what_a_loop_over_them_finds(rows: list[list[float]]) -> None:
    values, offsets = ragged(rows)
    expected = [p for row in rows for p in torch.tensor(row, dtype=torch.float64).softmax(0).tolist()]
    assert segment_softmax(values, offsets).tolist() == pytest.approx(expected, rel=1e-12)
    assert segment_of(offsets).tolist() == [i for i, row in enumerate(rows) for _ in row]
    best = [offset + row.index(max(row)) for offset, row in zip(offsets.tolist(), rows, strict=False) if row]
    assert segment_argmax(values, offsets).tolist() == best
    ordered = [value for row in rows for value in sorted(row, reverse=True)]
    assert values[descending(values, offsets)].tolist() == ordered


@given(ROWS)
def test_a_list_column_has_one_list_a_segment(rows: list[list[float]]) -> None:
    _, offsets = ragged(rows)
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
