"""Error spans of a translation from the labels of its tokens, and the MQM score that they amount to.

As `UnifiedMetric.decode` and `XCOMETMetric` of COMET 2.2.7. Tokens are those of `<s> translation </s>`; `<s>` and
`</s>` may be labelled like others. Different on purpose: offsets are exact, and the text of a span is the slice
between them (COMET's may begin at the blank before a word, and its text is made of the pieces).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.arrays.ragged import list_column, offsets_of, ranges, segment_of, softmax

SPAN_TYPE = pa.struct(
    {"severity": pa.string(), "start": pa.int32(), "end": pa.int32(), "text": pa.string(), "score": pa.float32()}
)

INPUT_WEIGHTS: Mapping[int, tuple[float, ...]] = {1: (1.0,), 3: (0.1667, 0.3333, 0.5)}
"""By the number of a row's sequences, the weight of each one's probabilities."""
_POINTS = {"minor": 1, "major": 5, "critical": 10}
_MOST_POINTS = 25


@dataclass(frozen=True)
class ErrorSpans:
    """Spans in the order of rows, arrays `[n]`.

    Attributes:
        row: the row of each, ascending.
        severity: class id, from 1.
        first, last: its first and last token.
        score: the mean probability of its tokens' labels.
    """

    row: NDArray[np.int64]
    severity: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    score: NDArray[np.float64]


def weighted_probabilities(logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """The probabilities `[tokens, labels]` of each label, over the sequences that show a token.

    Args:
        logits: float32 `[tokens, labels]`, of the same tokens in each of a row's sequences.
    """
    weights = INPUT_WEIGHTS[len(logits)]
    weighted = [weight * softmax(each) for weight, each in zip(weights, logits, strict=True)]
    return np.asarray(sum(weighted))


def find_spans(probabilities: NDArray[np.float64], row_offsets: NDArray[np.int64]) -> ErrorSpans:
    """The runs of tokens whose most probable label is not O, with the severity of the first one.

    A run up to the last token of a row is dropped, as COMET ends a span at the token after it.

    Args:
        probabilities: `[tokens, labels]`; the first label is O.
        row_offsets: int64 `[rows + 1]`.
    """
    label = probabilities.argmax(axis=1)
    score = probabilities[np.arange(len(label)), label]
    row = segment_of(row_offsets)
    is_error = label > 0
    continues = np.zeros(len(label), dtype=bool)
    continues[1:] = is_error[1:] & is_error[:-1] & (row[1:] == row[:-1])
    first = np.flatnonzero(is_error & ~continues)
    is_last = np.append(~continues[1:], np.ones(min(1, len(label)), dtype=bool))
    last = np.flatnonzero(is_error & is_last)
    is_ended = last < row_offsets[row[last] + 1] - 1
    first, last = first[is_ended], last[is_ended]
    sums = np.concatenate([[0.0], np.cumsum(score[ranges(first, last - first + 1)])])
    ends = np.cumsum(last - first + 1)
    begins = ends - (last - first + 1)
    mean = (sums[ends] - sums[begins]) / (ends - begins)
    return ErrorSpans(row[first], label[first], first, last, mean)


def mqm_scores(spans: ErrorSpans, severities: Sequence[str], num_rows: int) -> NDArray[np.float64]:
    """`(25 - points) / 25` of each row: 1, 5 and 10 points for a minor, major and critical error, at most 25."""
    points = np.array([0, *(_POINTS.get(severity, 0) for severity in severities)])
    total = np.bincount(spans.row, weights=points[spans.severity], minlength=num_rows)
    return (_MOST_POINTS - np.minimum(total, _MOST_POINTS)) / _MOST_POINTS


def spans_column(
    spans: ErrorSpans,
    severities: Sequence[str],
    texts: Sequence[str],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    row_offsets: NDArray[np.int64],
) -> pa.ListArray:
    """`list<struct<severity, start, end, text, score>>`, one a row; a span of `<s>` alone is empty, at 0.

    Args:
        texts: the translation of each row.
        begins, ends: int32 `[tokens]`, character offsets of each token, 0 for `<s>` and `</s>`.
    """
    # The offsets of `<s>` are no place in the text.
    is_bos = spans.first == row_offsets[spans.row]
    start = begins[np.where(is_bos & (spans.last > spans.first), spans.first + 1, spans.first)]
    end = ends[spans.last]
    where = zip(spans.row.tolist(), start.tolist(), end.tolist(), strict=True)
    columns = [
        pa.array(["", *severities], pa.string()).take(pa.array(spans.severity)),
        pa.array(start),
        pa.array(end),
        pa.array([texts[row][begin:stop] for row, begin, stop in where], pa.string()),
        pa.array(spans.score.astype(np.float32)),
    ]
    values = pa.StructArray.from_arrays(columns, fields=list(SPAN_TYPE))
    return list_column(values, offsets_of(np.bincount(spans.row, minlength=len(texts))))
