"""Batches in pieces: each piece asks for the same of its sequences, and what is joined is what the whole gives."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching.batch_pieces import BatchOutcome, halves, join_outcomes, pieces_within, take_sequences
from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.tasks.requests import HeadRequest


@st.composite
def batches(draw: Any) -> RankBatch:
    """Sequences with distinct tokens; a head on some sequences, one on some tokens, one with labels."""
    lengths = np.array(draw(st.lists(st.integers(1, 9), min_size=1, max_size=12)), dtype=np.int32)
    num_tokens = int(lengths.sum())

    def chosen(num: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        flags = draw(st.lists(st.booleans(), min_size=num, max_size=num))
        return np.flatnonzero(flags).astype(np.int32)

    sequences, tokens, labelled = chosen(len(lengths)), chosen(num_tokens), chosen(num_tokens)
    requests = {
        "topic": HeadRequest(sequences),
        "tokens": HeadRequest(tokens, of_tokens=True),
        "loss": HeadRequest(labelled, labelled * 7, of_tokens=True),
    }
    requests = {name: request for name, request in requests.items() if len(request.index)}
    return RankBatch("trunk", np.arange(num_tokens, dtype=np.int32) + 100, lengths, requests, seed=3)


def compute(batch: RankBatch) -> BatchOutput:
    """In the place of a shard: numbers that tell which tokens they are of; two arrays for one of the heads."""
    ends = np.cumsum(batch.lengths)
    results: BatchOutput = {}
    for name, request in batch.requests.items():
        if not request.of_tokens:
            first = batch.input_ids[(ends - batch.lengths)[request.index]]
            results[name] = (np.stack([first, batch.lengths[request.index]], axis=1),)
        else:
            labels = np.zeros(len(request.index)) if request.labels is None else request.labels
            results[name] = (batch.input_ids[request.index], labels)
    return results


def assert_equal(found: BatchOutput, expected: BatchOutput) -> None:
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        for one, other in zip(found[name], arrays, strict=True):
            np.testing.assert_array_equal(one, other)


@given(batches(), st.integers(1, 60))
def test_pieces_together_give_what_the_whole_gives(batch: RankBatch, token_budget: int) -> None:
    pieces = pieces_within(batch, token_budget)
    np.testing.assert_array_equal(np.concatenate([p.batch.input_ids for p in pieces]), batch.input_ids)
    for piece in pieces:
        assert len(piece.batch.input_ids) <= token_budget or len(piece.batch.lengths) == 1
        assert (piece.batch.trunk, piece.batch.seed) == ("trunk", 3)
    outcome = join_outcomes([(piece, BatchOutcome(compute(piece.batch))) for piece in pieces])
    assert outcome.lost == {}
    assert_equal(outcome.results, compute(batch))


@given(batches(), st.data())
def test_lost_sequences_are_left_out_and_told_by_their_number_in_the_whole(
    batch: RankBatch, data: st.DataObject
) -> None:
    n = len(batch.lengths)
    lost = data.draw(st.sets(st.integers(0, n - 1), max_size=n))
    rest = np.array([i for i in range(n) if i not in lost], dtype=np.int64)
    outcomes = []
    for piece in pieces_within(batch, 10):
        here = [i for i, number in enumerate(piece.sequences.tolist()) if number in lost]
        left = np.array([i for i in range(len(piece.sequences)) if i not in here], dtype=np.int64)
        results = compute(take_sequences(piece.batch, left).batch) if len(left) else {}
        outcomes.append((piece, BatchOutcome(results, dict.fromkeys(here, "broken"))))
    outcome = join_outcomes(outcomes)
    assert outcome.lost == dict.fromkeys(sorted(lost), "broken")
    assert_equal(outcome.results, compute(take_sequences(batch, rest).batch) if len(rest) else {})


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([5, 5], [1, 1]), ([9, 1, 1], [1, 2]), ([1, 1, 9], [2, 1]), ([3] * 7, [4, 3]), ([1, 50], [1, 1])],
)
def test_halves_have_about_equally_many_tokens_and_none_is_empty(lengths: list[int], expected: list[int]) -> None:
    ids = np.zeros(sum(lengths), dtype=np.int32)
    pieces = halves(RankBatch("trunk", ids, np.array(lengths, dtype=np.int32), {}))
    assert [len(piece.sequences) for piece in pieces] == expected
