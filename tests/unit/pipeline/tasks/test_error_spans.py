"""Error spans: runs of tokens, severities, offsets, and MQM."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.arrays.ragged import offsets_of
from pipeline.tasks.error_spans import (
    SPAN_TYPE,
    ErrorSpans,
    find_spans,
    mqm_scores,
    spans_column,
    weighted_probabilities,
)
from tests.comet_checkpoints import SEVERITIES

NUM_LABELS = 1 + len(SEVERITIES)


def probabilities_of(labels: list[list[int]], seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities whose maxima are these labels, and the offsets of the rows."""
    flat = np.array([label for row in labels for label in row], dtype=np.int64)
    values = np.random.default_rng(seed).random((len(flat), NUM_LABELS)) * 0.2
    values[np.arange(len(flat)), flat] += 0.3
    return values, offsets_of(np.array([len(row) for row in labels], dtype=np.int64))


def runs(labels: list[list[int]]) -> list[tuple[int, int, int, int]]:
    """As the decoder of COMET walks through the tokens: row, class, first and last token."""
    found, begin = [], 0
    for row, of_row in enumerate(labels):
        open_at = None
        for i, label in enumerate(of_row):
            if label and open_at is None:
                open_at = i
            elif not label and open_at is not None:
                found.append((row, of_row[open_at], begin + open_at, begin + i - 1))
                open_at = None
        begin += len(of_row)
    return found


@given(
    labels=st.lists(st.lists(st.integers(0, NUM_LABELS - 1), min_size=2, max_size=12), max_size=6),
    seed=st.integers(0, 99),
)
def test_spans_are_the_runs_of_errors(labels: list[list[int]], seed: int) -> None:
    probabilities, row_offsets = probabilities_of(labels, seed)
    found = find_spans(probabilities, row_offsets)
    expected = runs(labels)
    parts = (found.row, found.severity, found.first, found.last)
    assert [*zip(*(part.tolist() for part in parts), strict=True)] == expected
    for score, (_, _, first, last) in zip(found.score, expected, strict=True):
        assert score == pytest.approx(probabilities.max(axis=1)[first : last + 1].mean())


def test_the_probabilities_of_three_sequences_are_weighted() -> None:
    logits = [np.random.default_rng(seed).standard_normal((5, NUM_LABELS)).astype(np.float32) for seed in range(3)]
    one, two, three = (np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in logits)
    np.testing.assert_allclose(
        weighted_probabilities(logits), 0.1667 * one + 0.3333 * two + 0.5 * three, rtol=1e-6
    )
    np.testing.assert_allclose(weighted_probabilities(logits[:1]), one, rtol=1e-6)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 0), 1.0),
        ((1, 0, 0), 0.96),
        ((2, 1, 1), 8 / 25),
        ((0, 5, 0), 0.0),
        ((1, 0, 3), 0.0),
        ((5, 4, 0), 0.0),
    ],
)
def test_mqm(counts: tuple[int, int, int], expected: float) -> None:
    """1, 5 and 10 points, at most 25, in the second of three rows."""
    severity = np.repeat([1, 2, 3], counts)
    nothing = np.zeros(len(severity), dtype=np.int64)
    spans = ErrorSpans(nothing + 1, severity, nothing, nothing, nothing.astype(float))
    assert mqm_scores(spans, SEVERITIES, 3).tolist() == [1.0, pytest.approx(expected), 1.0]
    assert mqm_scores(spans, ("minor", "odd", "critical"), 3)[1] == pytest.approx(
        (25 - min(counts[0] + 10 * counts[2], 25)) / 25
    )


def test_offsets_and_texts() -> None:
    texts = ["ab cde", "  xy"]
    # `<s>`, pieces, `</s>`, of each row.
    begins = np.array([0, 0, 3, 4, 0, 0, 2, 3, 0], dtype=np.int32)
    ends = np.array([0, 2, 4, 6, 0, 0, 3, 4, 0], dtype=np.int32)
    labels = [[0, 1, 0, 2, 0], [3, 1, 0, 0]]
    probabilities, row_offsets = probabilities_of(labels)
    spans = find_spans(probabilities, row_offsets)
    column = spans_column(spans, SEVERITIES, texts, begins, ends, row_offsets)
    assert column.type.value_type == SPAN_TYPE
    found = [[(s["severity"], s["start"], s["end"], s["text"]) for s in row] for row in column.to_pylist()]
    assert found == [[("minor", 0, 2, "ab"), ("major", 4, 6, "de")], [("critical", 2, 3, "x")]]


def test_a_span_of_the_first_token_alone_is_empty() -> None:
    probabilities, row_offsets = probabilities_of([[2, 0, 0]])
    spans = find_spans(probabilities, row_offsets)
    begins, ends = np.array([0, 3, 0], dtype=np.int32), np.array([0, 5, 0], dtype=np.int32)
    [[span]] = spans_column(spans, SEVERITIES, ["   ab"], begins, ends, row_offsets).to_pylist()
    assert (span["severity"], span["start"], span["end"], span["text"]) == ("major", 0, 0, "")
    assert mqm_scores(spans, SEVERITIES, 1).tolist() == [0.8]
