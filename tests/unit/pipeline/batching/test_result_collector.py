"""Results come in batch by batch, the longest sequences first; they leave in the order of the text."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrays.windows import WindowArrays
from pipeline.batching.result_collector import HeadOutputCollector
from pipeline.batching.sequences import SequenceSet
from pipeline.tasks.requests import Places
from tests.unit.pipeline.compute_fixtures import window_column, window_of

WINDOWS = WindowArrays.from_column(window_column([[window_of([0, 5, 6, 2])] * 3, [window_of([0, 7, 2])]]))
# Four sequences, which show windows 1, 3, 0 and 2.
SHOWN = np.array([1, 3, 0, 2])
ZEROS = np.zeros(4, dtype=np.int64)
SEQUENCES = SequenceSet(WINDOWS.ids.values, WINDOWS.ids.values, ZEROS, ZEROS, ZEROS, SHOWN, ZEROS - 1, [WINDOWS])
CONTEXT = pa.nulls(2)
NO_MODEL: dict[str, Any] = {"config": None, "tokenizer": None}


@given(st.permutations([(sequence, position) for sequence in range(4) for position in range(3)]), st.data())
def test_the_order_is_that_of_sequences_and_tokens_however_they_were_batched(
    places: list[tuple[int, int]], data: st.DataObject
) -> None:
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, 12), max_size=4))), 12]
    collected = HeadOutputCollector()
    for begin, end in pairwise(cuts):
        sequence, position = (np.array([p[k] for p in places[begin:end]], dtype=np.int64) for k in (0, 1))
        values = (10 * sequence + position).astype(np.float32)
        collected.add((values[:, None], values.astype(np.int64)), Places(sequence, position))
    results = collected.in_order(SEQUENCES, WINDOWS, CONTEXT, **NO_MODEL)
    expected = [10 * sequence + position for sequence in range(4) for position in range(3)]
    assert results.values[0].ravel().tolist() == results.values[1].tolist() == expected
    assert results.window.tolist() == np.repeat(SHOWN, 3).tolist()
    assert results.position.tolist() == [0, 1, 2] * 4
    assert results.row.tolist() == np.repeat([0, 1, 0, 0], 3).tolist()
    assert results.num_rows == 2


def test_a_head_without_results() -> None:
    results = HeadOutputCollector().in_order(SEQUENCES, WINDOWS, CONTEXT, **NO_MODEL)
    assert results.values == ()
    assert results.row.tolist() == []
    assert results.row_offsets.tolist() == [0, 0, 0]
