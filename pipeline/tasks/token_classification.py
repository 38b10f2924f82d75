"""Token classification: the entities of a text with character offsets, or a label for each given word.

Aggregation and scores are those of `TokenClassificationPipeline` of Transformers: the score of a piece or word is
the softmax of its label, that of an entity the mean over them. Different on purpose:

- Words: see `pipeline.tasks.word_boundaries` (Transformers splits at U+0020 only, always begins a word at an
  unknown piece and after a bare metaspace, and takes a Chinese sentence for one word).
- Labels: see `pipeline.tasks.label_schemes` (Transformers takes E-, S-, L- and U- for parts of type names).
- Entities never overlap. A character that several pieces share (the parts of a ligature) belongs to the later
  entity; an entity without any character left is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.arrays.ragged import list_column, offsets_of, ranges, segment_argmax, segment_of, softmax
from pipeline.tasks.contract import OrderedHeadOutput, SequenceSpec, Task, class_labels, text_spec
from pipeline.tasks.feature_heads import (
    check_pooling,
    compute_logits,
    feature_head_of,
    feature_layers,
    feature_reads,
)
from pipeline.tasks.label_schemes import OUTSIDE, LabelScheme, read_labels
from pipeline.tasks.requests import request_owned_tokens
from pipeline.tasks.sections import InputColumn, NonEmpty, TextHeadSection
from pipeline.tasks.word_boundaries import word_starts

if TYPE_CHECKING:
    from model import XLMRobertaXLConfig
    from pipeline.tasks.contract import HeadLayers

Aggregation = Literal["simple", "first", "average", "max"]

_ENTITY_TYPE = pa.struct(
    {"entity": pa.string(), "start": pa.int32(), "end": pa.int32(), "text": pa.string(), "score": pa.float32()}
)
_WORD_TYPE = pa.struct({"label": pa.string(), "score": pa.float32()})


class TokenClassificationHead(TextHeadSection):
    """The entities of a text, or one label for each word if a text is given as words."""

    task: Literal["token-classification"]
    words: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of a list column with the words of a text (then there is no `text`). "
        "Each word gets one label. Without it, `text` is read, and entities with their place in it are found.",
        examples=["tokens"],
    )
    aggregation: Aggregation = Field(
        default="simple",
        description='"simple", "first", "average" or "max". This is how the pieces of a word get a label: each '
        'its own ("simple"), or all of them that of the first, of their mean scores, or of the highest score, as '
        "in Transformers.",
        examples=["first"],
    )

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        if self.words is not None and self.text:
            problems.append(
                f'words: found "{self.words}" and text = "{self.text}", expected one of the two; remove one'
            )
        return problems

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text, or the words."""
        if self.words is None:
            return super().input_columns
        return (InputColumn(self.words, "list of text", "words"),)


def _output_type(options: TokenClassificationHead, config: XLMRobertaXLConfig) -> pa.DataType:
    return pa.list_(_ENTITY_TYPE if options.words is None else _WORD_TYPE)


def _sequence_spec(options: TokenClassificationHead, max_num_tokens: int) -> SequenceSpec:
    if options.words is None:
        return text_spec(options, max_num_tokens)
    return SequenceSpec("words", (options.words,), *options.resolve_window(max_num_tokens), options.truncate)


def _layers(options: TokenClassificationHead, config: XLMRobertaXLConfig) -> HeadLayers:
    from model.layers.head_layers import Labelling  # noqa: PLC0415

    head = feature_head_of(config)
    return {"classifier": Labelling()} if head is None else feature_layers(head)


def _decode(options: TokenClassificationHead, output: OrderedHeadOutput) -> pa.Array:
    logits, labels = output.floats, class_labels(output.config)
    begins = output.windows.begins.values[output.flat_token]
    if options.words is None:
        ends, texts = output.windows.ends.values[output.flat_token], output.context.to_pylist()
        return entities_column(texts, output.row_offsets, begins, ends, logits, labels, options.aggregation)
    word_offsets = offsets_of(output.context.fill_null(0).to_numpy().astype(np.int64))
    word = (word_offsets[output.row] + begins).astype(np.int32)
    labelled = words_labels(word, logits, labels, int(word_offsets[-1]), options.aggregation)
    return list_column(labelled, word_offsets)


@dataclass(frozen=True)
class _Units:
    """The units that get one label each, pieces or words; arrays of length `[n]`.

    `label`, `score`: as from `label_units`. `begin`, `end`: character offsets in the text of `row`.
    `begins_word`: false for all but the first piece of a word.
    """

    row: NDArray[np.int64]
    begin: NDArray[np.int32]
    end: NDArray[np.int32]
    label: NDArray[np.int64]
    score: NDArray[np.float64]
    begins_word: NDArray[np.bool_]


def entities_column(
    texts: Sequence[str | None],
    row_offsets: NDArray[np.int64],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    logits: NDArray[np.float32],
    labels: Sequence[str],
    aggregation: Aggregation,
) -> pa.ListArray:
    """`list<struct<entity: string, start: int32, end: int32, text: string, score: float>>`, one a row.

    `entity` is the type, without prefix; `text` is the slice `start:end` of the row's text.

    Args:
        texts, row_offsets: the text of each row, or None, and its pieces, int64 `[rows + 1]`.
        begins, ends: int32 `[n]`, character offsets of each piece in its text, half-open, in order.
        logits, labels: float32 `[n, num_labels]`, and label names by class id.
        aggregation: "simple" labels pieces; the others label words, by the first piece of each, the mean of the
            probabilities, or the most confident piece.
    """
    characters = [text or "" for text in texts]
    starts = word_starts(characters, row_offsets, begins, ends)
    units = _label_pieces(row_offsets, begins, ends, logits, starts, aggregation)
    scheme = read_labels(labels)
    first, last = _entity_bounds(units, scheme)
    row, begin = units.row[first], units.begin[first]
    end = _clipped_to_next(row, begin, units.end[last])
    kept = begin < end
    kind, score = scheme.type_of[units.label[first]][kept], _mean_scores(units.score, first, last)[kept]
    row, begin, end = row[kept], begin[kept], end[kept]
    spans = zip(row.tolist(), begin.tolist(), end.tolist(), strict=True)
    columns = [
        pa.array(scheme.types, pa.string()).take(pa.array(kind)),
        pa.array(begin),
        pa.array(end),
        pa.array([characters[i][b:e] for i, b, e in spans], pa.string()),
        pa.array(score.astype(np.float32)),
    ]
    entities = pa.StructArray.from_arrays(columns, fields=list(_ENTITY_TYPE))
    return list_column(entities, offsets_of(np.bincount(row, minlength=len(texts))))


def _clipped_to_next(
    row: NDArray[np.int64], begin: NDArray[np.int32], end: NDArray[np.int32]
) -> NDArray[np.int32]:
    """The ends of entities, at most the begin of the next one in the same row."""
    is_followed = row[1:] == row[:-1]
    return np.append(np.where(is_followed, np.minimum(end[:-1], begin[1:]), end[:-1]), end[-1:])


def words_labels(
    word_of_token: NDArray[np.int32],
    logits: NDArray[np.float32],
    labels: Sequence[str],
    num_words: int,
    aggregation: Aggregation,
) -> pa.StructArray:
    """`struct<label: string, score: float>` of each word; labels keep their prefix.

    A word without pieces (empty, or of characters that the tokenizer drops) has the outside label, or null if
    there is none, and a null score.

    Args:
        word_of_token: int32 `[n]`, ascending, numbers of words over all rows, below `num_words`.
        logits, labels, aggregation: as for `entities_column`; "simple" is "first", as words are given.
    """
    starts = np.ones(len(word_of_token), dtype=np.bool_)
    starts[1:] = word_of_token[1:] > word_of_token[:-1]
    found, found_score = label_units(logits, starts, "first" if aggregation == "simple" else aggregation)

    outside = read_labels(labels).outside_label
    label = np.full(num_words, OUTSIDE if outside is None else outside, dtype=np.int64)
    score = np.zeros(num_words, dtype=np.float32)
    is_empty = np.ones(num_words, dtype=np.bool_)
    present = word_of_token[starts]
    label[present], score[present], is_empty[present] = found, found_score, False
    names = pa.array(labels, pa.string()).take(pa.array(label, mask=label == OUTSIDE))
    return pa.StructArray.from_arrays([names, pa.array(score, mask=is_empty)], fields=list(_WORD_TYPE))


def label_units(
    logits: NDArray[np.float32], starts: NDArray[np.bool_], aggregation: Aggregation
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class id and probability of each unit, in order.

    Args:
        logits: float32 `[n, num_labels]`, of pieces.
        starts: bool `[n]`, where units begin; the first is true. Not used by "simple".
    """
    first = np.flatnonzero(starts)
    match aggregation:
        case "simple":
            probabilities = softmax(logits)
        case "first":
            probabilities = softmax(logits[first])
        case "average":
            sums = np.add.reduceat(softmax(logits), first, axis=0)
            probabilities = sums / np.diff(first, append=len(starts))[:, None]
        case "max":
            probabilities = softmax(logits)
            surest = segment_argmax(probabilities.max(axis=1), np.append(first, len(starts)))
            probabilities = probabilities[surest]
    label = probabilities.argmax(axis=1)
    return label, probabilities[np.arange(len(label)), label]


def _label_pieces(
    row_offsets: NDArray[np.int64],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    logits: NDArray[np.float32],
    starts: NDArray[np.bool_],
    aggregation: Aggregation,
) -> _Units:
    label, score = label_units(logits, starts, aggregation)
    row = segment_of(row_offsets)
    if aggregation == "simple":
        return _Units(row, begins, ends, label, score, starts)
    first = np.flatnonzero(starts)
    end = np.maximum.reduceat(ends, first)
    return _Units(row[first], begins[first], end, label, score, starts[first])


def _entity_bounds(units: _Units, scheme: LabelScheme) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last unit of each entity.

    S, E and the like are about words: when further pieces of a word repeat them, no entity begins or ends there.
    B always begins one, as in Transformers.
    """
    kind = scheme.type_of[units.label]
    begins = scheme.begins[units.label] | (scheme.is_first[units.label] & units.begins_word)
    is_over = scheme.is_last[units.label][:-1] & units.begins_word[1:]
    starts = np.ones(len(kind), dtype=np.bool_)
    starts[1:] = (units.row[1:] != units.row[:-1]) | (kind[1:] != kind[:-1]) | begins[1:] | is_over
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(kind))[: len(first)] - 1
    is_inside = kind[first] != OUTSIDE
    return first[is_inside], last[is_inside]


def _mean_scores(
    scores: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean over the units of each entity."""
    lengths = last - first + 1
    index = np.repeat(np.arange(len(first)), lengths)
    return np.bincount(index, weights=scores[ranges(first, lengths)], minlength=len(first)) / lengths


def _labels(options: TokenClassificationHead, column: pa.ListArray) -> pa.Array:
    return pc.struct_field(pc.list_flatten(column), "entity" if options.words is None else "label")


TASK = Task(
    name="token-classification",
    options=TokenClassificationHead,
    output_type=_output_type,
    sequence_spec=_sequence_spec,
    request=lambda _, batch: request_owned_tokens(batch),
    layers=_layers,
    reads=feature_reads,
    compute=compute_logits,
    decode=_decode,
    check_weights=lambda _, config: check_pooling(config, of_tokens=True),
    needs_offsets=True,
    label_names=lambda _, config: class_labels(config),
    labels=_labels,
)
