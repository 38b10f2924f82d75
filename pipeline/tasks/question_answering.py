"""Extractive question answering: the span of a context that best answers a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from pipeline.arrays.ragged import offsets_of, ranges, segment_of
from pipeline.errors import ConfigError
from pipeline.tasks.contract import OrderedHeadOutput, SequenceSpec, Task, place_rows
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places
from pipeline.tasks.sections import InputColumn, NonEmpty, WindowedHeadSection

if TYPE_CHECKING:
    from model import XLMRobertaXLConfig
    from pipeline.tasks.contract import HeadLayers

DEFAULT_MAX_ANSWER_TOKENS = 30
"""As in the reference code of SQuAD and BERT."""

_SPAN = {"answer": pa.string(), "start": pa.int32(), "end": pa.int32()}
_COLUMN_TYPE = pa.struct({**_SPAN, "score": pa.float32(), "null_score": pa.float32()})
# A score is the sum of two logits.
_MAX_LOGIT = float(np.finfo(np.float32).max / 2)


class QuestionAnsweringHead(WindowedHeadSection):
    """The span of a context that answers a question."""

    task: Literal["question-answering"]
    question: NonEmpty = Field(
        default="question",
        description="the name or dotted path of the column of questions",
        examples=["query"],
    )
    context: NonEmpty = Field(
        default="context",
        description="the name or dotted path of the column of contexts. These are the texts that answers are "
        "taken from.",
        examples=["passage"],
    )
    max_answer_tokens: int = Field(
        default=DEFAULT_MAX_ANSWER_TOKENS,
        ge=1,
        description="the most tokens of an answer, 1 or more. Longer spans are not considered.",
        examples=[15],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The question and the context."""
        return (InputColumn(self.question, "text", "question"), InputColumn(self.context, "text", "context"))


def _check_weights(options: QuestionAnsweringHead, config: XLMRobertaXLConfig) -> None:
    if config.num_labels != 2:
        raise ConfigError(
            f"id2label: found {config.num_labels} labels, expected 2, the start and the end of an answer; name a "
            "checkpoint that was fine-tuned for question answering"
        )


def _sequence_spec(options: QuestionAnsweringHead, max_num_tokens: int) -> SequenceSpec:
    window = options.resolve_window(max_num_tokens)
    return SequenceSpec("question", (options.context, options.question), *window, options.truncate)


def _request(options: QuestionAnsweringHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """`<s>` of each window, then the tokens of its context."""
    prefix_size, body_size = batch.windows.prefix_size[batch.window], batch.windows.body_size[batch.window]
    count = body_size + 1
    position = ranges(prefix_size - 1, count)
    position[np.cumsum(count) - count] = 0
    index = np.repeat(batch.begin, count) + position
    request = HeadRequest(index.astype(np.int32), of_tokens=True)
    return request, Places(np.repeat(batch.sequence, count), position)


def _layers(options: QuestionAnsweringHead, config: XLMRobertaXLConfig) -> HeadLayers:
    from model.layers.head_layers import Labelling  # noqa: PLC0415

    return {"qa_outputs": Labelling()}


def _decode(options: QuestionAnsweringHead, output: OrderedHeadOutput) -> pa.Array:
    logits, windows = output.floats, output.windows
    is_first = output.position == 0
    shown = output.window[is_first]
    flat = output.flat_token[~is_first]
    window, position = output.window[~is_first], output.position[~is_first]
    column, rows = answers_column(
        AnswerWindows(
            row=windows.row[shown].astype(np.int32),
            window_offsets=offsets_of(windows.body_size[shown]),
            begins=windows.begins.values[flat],
            ends=windows.ends.values[flat],
            start_logits=logits[~is_first, 0],
            end_logits=logits[~is_first, 1],
            owned=(position >= windows.owned_begin[window]) & (position < windows.owned_end[window]),
            null_scores=logits[is_first].sum(axis=1),
        ),
        output.context.to_pylist(),
        options.max_answer_tokens,
    )
    return place_rows(column, rows, output.num_rows)


@dataclass(frozen=True)
class AnswerWindows:
    """The model's output for w windows with t context tokens in all.

    Attributes:
        row: int32 `[w]`, the row of each window; windows are in any order.
        window_offsets: int64 `[w + 1]`, the context tokens of each window.
        begins, ends: int32 `[t]`, character offsets of the tokens in the context, half-open.
        start_logits, end_logits: float32 `[t]`.
        owned: bool `[t]`, whether this window, and no other one, owns the token.
        null_scores: float32 `[w]`, the start logit plus the end logit of each window's `<s>`.
    """

    row: NDArray[np.int32]
    window_offsets: NDArray[np.int64]
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    start_logits: NDArray[np.float32]
    end_logits: NDArray[np.float32]
    owned: NDArray[np.bool_]
    null_scores: NDArray[np.float32]


def answers_column(
    windows: AnswerWindows, contexts: Sequence[str | None], max_answer_tokens: int = DEFAULT_MAX_ANSWER_TOKENS
) -> tuple[pa.StructArray, NDArray[np.int32]]:
    """`struct<answer: string, start: int32, end: int32, score: float, null_score: float>`, and the rows.

    `answer` is the best span over all windows of a row: it starts at a token that its window owns (the maximal
    context of SQuAD's reference code) and ends in the same window. Of equal spans, the earliest wins, then the
    shortest.

    `score` is the start logit plus the end logit, as in SQuAD 2 and unlike the product of probabilities of
    Transformers' pipeline: sums can be compared between windows, and with `null_score`, the smallest such sum for
    "no answer" over the row's windows. A question has no answer if `null_score - score` exceeds a threshold, 0 or
    one chosen on development data; `answer` is the best span even then.

    Args:
        contexts: one for each row of the fragment.

    Returns:
        one value for each row with a token of context, and these rows, int32, ascending.
    """
    starts, last, score = _best_spans(windows, max_answer_tokens)
    rows = windows.row[segment_of(windows.window_offsets)[starts]]
    begins, ends = windows.begins[starts], windows.ends[last]
    null_scores = np.full(len(contexts), np.inf, dtype=np.float32)
    np.minimum.at(null_scores, windows.row, windows.null_scores)
    spans = zip(rows.tolist(), begins.tolist(), ends.tolist(), strict=True)
    columns = [
        pa.array([(contexts[row] or "")[begin:end] for row, begin, end in spans], pa.string()),
        pa.array(begins),
        pa.array(ends),
        pa.array(score.astype(np.float32)),
        pa.array(null_scores[rows]),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(_COLUMN_TYPE)), rows


def _best_spans(
    windows: AnswerWindows, max_answer_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """First and last token (flat index) of the best span of each row, and its score; rows ascending."""
    last, score = _best_ends(windows, max_answer_tokens)
    starts = np.flatnonzero(windows.owned)
    row = windows.row[segment_of(windows.window_offsets)[starts]]
    # The last key counts most. The first one decides between spans that start at the same character.
    order = np.lexsort((windows.ends[last[starts]], windows.begins[starts], -score[starts], row))
    best = starts[order[np.diff(row[order], prepend=-1) > 0]]
    return best, last[best], score[best]


def _best_ends(windows: AnswerWindows, max_answer_tokens: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For spans from each token on, the last token (flat) and score of the best one, the shortest of equals."""
    start_logits = windows.start_logits.astype(np.float64)
    end_logits = windows.end_logits.astype(np.float64)
    num_tokens = len(start_logits)
    lengths = np.diff(windows.window_offsets)
    window_end = np.repeat(windows.window_offsets[1:], lengths)
    last = np.arange(num_tokens)
    score = start_logits + end_logits
    for further in range(1, min(max_answer_tokens, int(lengths.max(initial=0)))):
        fits = window_end[:-further] > np.arange(further, num_tokens)
        candidate = start_logits[:-further] + end_logits[further:]
        better = fits & (candidate > score[:-further])
        score[:-further][better] = candidate[better]
        last[:-further][better] = np.flatnonzero(better) + further
    return last, score


TASK = Task(
    name="question-answering",
    options=QuestionAnsweringHead,
    output_type=lambda *_: _COLUMN_TYPE,
    sequence_spec=_sequence_spec,
    request=_request,
    layers=_layers,
    decode=_decode,
    check_weights=_check_weights,
    needs_offsets=True,
    max_magnitude=_MAX_LOGIT,
)
