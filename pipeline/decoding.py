"""What ranks computed -> columns of the output: results are put in order, windows merged, one value a row."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model import XLMRobertaXLTokenizer
from pipeline.arrays.ragged import offsets_of
from pipeline.arrays.windows import WindowArrays
from pipeline.heads.resolve import Head
from pipeline.segments import list_column
from pipeline.tasks.all_tasks import (
    CausalLMLossHead,
    EmbeddingHead,
    FillMaskHead,
    MaskedLMLossHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    TextClassificationHead,
    TextGenerationHead,
    TokenClassificationHead,
    ZeroShotHead,
)
from pipeline.tasks.embedding import Vectors, finish_vectors, token_vectors_column, vectors_column
from pipeline.tasks.language_modeling import fill_mask_column, generation_column, loss_column
from pipeline.tasks.multiple_choice import choices_column
from pipeline.tasks.question_answering import AnswerWindows, answers_column
from pipeline.tasks.text_classification import classification_column
from pipeline.tasks.token_classification import entities_column, words_labels
from pipeline.tasks.window_merging import weighted_mean, window_maximum
from pipeline.tasks.zero_shot_classification import entailment_ids, zero_shot_column, zero_shot_scores


@dataclass(frozen=True)
class HeadResults:
    """All results of a head over a fragment, in the order of windows and tokens.

    Attributes:
        values: what the ranks returned, arrays with a first axis `[n]`.
        window, position: int64 `[n]`, the window of the head's source and the token in it.
        windows: of that source.
        context: by row, what `sources.decoding_context` kept.
    """

    values: tuple[NDArray[np.generic], ...]
    window: NDArray[np.int64]
    position: NDArray[np.int64]
    windows: WindowArrays
    context: pa.Array

    @property
    def row(self) -> NDArray[np.int64]:
        """The row of each result."""
        return self.windows.row[self.window]

    @property
    def num_rows(self) -> int:
        """Rows of the fragment."""
        return len(self.context)

    @property
    def row_offsets(self) -> NDArray[np.int64]:
        """Where the results of each row begin, int64 `[rows + 1]`."""
        return offsets_of(np.bincount(self.row, minlength=self.num_rows))

    @property
    def weight(self) -> NDArray[np.int32]:
        """Tokens that each result's window owns."""
        owned = self.windows.owned_end - self.windows.owned_begin
        return owned[self.window].astype(np.int32)


def decode_head(head: Head, results: HeadResults, tokenizer: XLMRobertaXLTokenizer) -> pa.Array:
    """A head's column, one value for each row of the fragment, null where there is no result."""
    if not len(results.window):
        return pa.nulls(results.num_rows, head.output_type)
    match head.options:
        case TextClassificationHead():
            column = _classes(head, results)
        case TokenClassificationHead():
            column = _token_labels(head, head.options, results)
        case QuestionAnsweringHead():
            column = _answers(head.options, results)
        case MultipleChoiceHead():
            scores, rows = _item_means(results)
            column = choices_column(scores[:, 0], offsets_of(np.bincount(rows, minlength=results.num_rows)))
        case EmbeddingHead():
            column = _vectors(head, head.options, results)
        case FillMaskHead():
            token_ids, log_probabilities = results.values
            column = fill_mask_column(token_ids, log_probabilities, results.row_offsets, tokenizer)
        case MaskedLMLossHead() | CausalLMLossHead():
            losses, rows = loss_column(_floats(results), results.row)
            column = place_rows(losses, rows, results.num_rows)
        case TextGenerationHead():
            token_ids, num_tokens, _ = results.values
            column = generation_column(token_ids, num_tokens, tokenizer)
            column = place_rows(column, results.row, results.num_rows)
        case ZeroShotHead():
            column = _zero_shot(head, head.options, results)
    return mask_rows(column, np.bincount(results.row, minlength=results.num_rows) > 0).cast(head.output_type)


def _classes(head: Head, results: HeadResults) -> pa.Array:
    means, rows = weighted_mean(_floats(results), results.row.astype(np.int32), results.weight, results.num_rows)
    return place_rows(classification_column(means, head.labels, head.problem_type), rows, results.num_rows)


def _floats(results: HeadResults) -> NDArray[np.float32]:
    return np.asarray(results.values[0], dtype=np.float32)


def _token_labels(head: Head, options: TokenClassificationHead, results: HeadResults) -> pa.Array:
    logits = _floats(results)
    flat = results.windows.ids.starts[results.window] + results.position
    begins, ends = results.windows.begins.values[flat], results.windows.ends.values[flat]
    if options.words is None:
        texts = results.context.to_pylist()
        return entities_column(texts, results.row_offsets, begins, ends, logits, head.labels, options.aggregation)
    num_words = results.context.fill_null(0).to_numpy().astype(np.int64)
    word_offsets = offsets_of(num_words)
    word = (word_offsets[results.row] + begins).astype(np.int32)
    labelled = words_labels(word, logits, head.labels, int(word_offsets[-1]), options.aggregation)
    return list_column(labelled, word_offsets)


def _answers(options: QuestionAnsweringHead, results: HeadResults) -> pa.Array:
    """The request of each window is its `<s>` and behind it the tokens of the context."""
    logits = _floats(results)
    is_first = results.position == 0
    shown = results.window[is_first]
    flat = (results.windows.ids.starts[results.window] + results.position)[~is_first]
    window, position = results.window[~is_first], results.position[~is_first]
    windows = results.windows
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
        results.context.to_pylist(),
        options.max_answer_tokens,
    )
    return place_rows(column, rows, results.num_rows)


def _vectors(head: Head, options: EmbeddingHead, results: HeadResults) -> pa.Array:
    def finish(values: NDArray[np.float32]) -> Vectors:
        return finish_vectors(
            values,
            dimensions=options.num_dimensions(head.config.hidden_size),
            normalize=options.normalize,
            dtype=options.dtype,
        )

    if options.level == "token":
        return token_vectors_column(finish(_floats(results)), results.row_offsets)
    merge: Callable[..., tuple[NDArray[np.float32], NDArray[np.int32]]] = weighted_mean
    if options.pooling == "max":
        merge = window_maximum
    vectors, rows = merge(_floats(results), results.row.astype(np.int32), results.weight, results.num_rows)
    return place_rows(vectors_column(finish(vectors)), rows, results.num_rows)


def _zero_shot(head: Head, options: ZeroShotHead, results: HeadResults) -> pa.Array:
    logits, rows = _item_means(results)
    offsets = offsets_of(np.bincount(rows, minlength=results.num_rows))
    entailment, contradiction = entailment_ids(head.config.id2label, multi_label=options.multi_label)
    scores = zero_shot_scores(logits, offsets, entailment, contradiction, multi_label=options.multi_label)
    present = np.diff(offsets) > 0
    labels = [label for row in np.flatnonzero(present).tolist() for label in results.context[row].as_py()]
    return zero_shot_column(scores, offsets, labels)


def _item_means(results: HeadResults) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mean over the windows of each choice or hypothesis, in order; and the row of each."""
    row, item = results.row, results.windows.item[results.window]
    begins = np.ones(len(row), dtype=bool)
    begins[1:] = (row[1:] != row[:-1]) | (item[1:] != item[:-1])
    number = np.cumsum(begins) - 1
    means, _ = weighted_mean(_floats(results), number.astype(np.int32), results.weight, int(number[-1]) + 1)
    return means, row[begins]


def place_rows(column: pa.Array, rows: NDArray[np.integer], num_rows: int) -> pa.Array:
    """Value i to row `rows[i]`, null elsewhere."""
    index = np.zeros(num_rows, dtype=np.int64)
    is_null = np.ones(num_rows, dtype=bool)
    index[rows] = np.arange(len(rows))
    is_null[rows] = False
    return column.take(pa.array(index, mask=is_null))


def mask_rows(column: pa.Array, is_present: NDArray[np.bool_]) -> pa.Array:
    """Null in the rows that are not present."""
    if is_present.all():
        return column
    return column.take(pa.array(np.arange(len(column)), mask=~is_present))
