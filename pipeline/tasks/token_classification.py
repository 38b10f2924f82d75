"""Token classification: the entities of a text with their places, or a label for each of the words that are given.

The strategies and scores are those of `TokenClassificationPipeline` of Transformers: the score of a
piece or word is the softmax of its label, that of an entity the mean over them. Different on purpose:

- Words: see `pipeline.tasks.word_boundaries` (there only U+0020 parts words, an unknown piece and the piece after
  a bare metaspace always begin one, and a Chinese sentence is one word).
- Labels: see `pipeline.tasks.label_schemes` (there E-, S-, L- and U- are names of types).
- Entities never overlap. Where pieces share a character (the parts of a ligature), it belongs to the
  later entity; an entity of which no character is left is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from pipeline.arrays.ragged import offsets_of
from pipeline.arrays.segments import list_column, segment_argmax, segment_of, softmax
from pipeline.tasks.contract import HeadStates, OrderedHeadOutput, SequenceSpec, Task, class_labels, text_spec
from pipeline.tasks.label_schemes import OUTSIDE, LabelScheme, read_labels
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_owned_tokens
from pipeline.tasks.sections import InputColumn, NonEmpty, TextHeadSection
from pipeline.tasks.word_boundaries import word_starts

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig, XLMRobertaXLModel, XLMRobertaXLTokenizer
    from pipeline.tasks.contract import HeadModules

Aggregation = Literal["simple", "first", "average", "max"]

_ENTITIES_TYPE = pa.list_(
    pa.struct(
        {
            "entity": pa.string(),
            "start": pa.int32(),
            "end": pa.int32(),
            "text": pa.string(),
            "score": pa.float32(),
        }
    )
)
_WORD_LABELS_TYPE = pa.list_(pa.struct({"label": pa.string(), "score": pa.float32()}))


class TokenClassificationHead(TextHeadSection):
    """Entities of a text, or one label for each of its words where the words are given."""

    task: Literal["token-classification"]
    words: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of a list column with the words of a text (then there is no `text`)",
        examples=["tokens"],
    )
    aggregation: Aggregation = Field(
        default="simple", description='"simple", "first", "average" or "max"', examples=["simple"]
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
    return _ENTITIES_TYPE if options.words is None else _WORD_LABELS_TYPE


def _sequence_spec(options: TokenClassificationHead, max_num_tokens: int) -> SequenceSpec:
    if options.words is None:
        return text_spec(options, max_num_tokens)
    return SequenceSpec("words", (options.words,), *options.resolve_window(max_num_tokens), options.truncate)


def _request(options: TokenClassificationHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    return request_owned_tokens(batch)


def _build_modules(
    options: TokenClassificationHead, config: XLMRobertaXLConfig, trunk: XLMRobertaXLModel
) -> HeadModules:
    from model.layers.heads import LabelHead  # noqa: PLC0415

    return {"classifier": LabelHead(config)}


def _compute(options: TokenClassificationHead, states: HeadStates) -> tuple[Tensor, ...]:
    return states.through_modules(states.of_tokens)


def _decode(
    options: TokenClassificationHead,
    config: XLMRobertaXLConfig,
    output: OrderedHeadOutput,
    tokenizer: XLMRobertaXLTokenizer,
) -> pa.Array:
    logits, labels = output.floats, class_labels(config)
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
    """What gets one label each: pieces or words, `[n]` each.

    `label`, `score`: as of `label_units`. `row`: the text. `begin`, `end`: its characters.
    `begins_word`: false for the second and further pieces of a word.
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
        texts: one a row, None for rows without pieces.
        row_offsets: int64 `[rows + 1]`, the pieces of each row.
        begins, ends: int32 `[n]`, characters of each piece in its text, half-open, in order; pieces of
            several windows are there once.
        logits: float32 `[n, num_labels]`.
        labels: names, by class id.
        aggregation: "simple" labels pieces; the others words, by the first piece of each, the mean of
            the probabilities, or the piece that is surest.
    """
    characters = [text or "" for text in texts]
    starts = word_starts(characters, row_offsets, begins, ends)
    units = _label_pieces(row_offsets, begins, ends, logits, starts, aggregation)
    scheme = read_labels(labels)
    first, last = _entity_bounds(units, scheme)

    row, begin, end, type_of = units.row[first], units.begin[first], units.end[last], scheme.type_of
    goes_on = row[1:] == row[:-1]
    end[:-1][goes_on] = np.minimum(end[:-1], begin[1:])[goes_on]
    kind, score = type_of[units.label[first]], _mean_scores(units.score, first, last)
    keep = begin < end
    row, begin, end, kind, score = row[keep], begin[keep], end[keep], kind[keep], score[keep]

    spans = zip(row.tolist(), begin.tolist(), end.tolist(), strict=True)
    columns = [
        pa.array(scheme.types, pa.string()).take(pa.array(kind)),
        pa.array(begin),
        pa.array(end),
        pa.array([characters[i][b:e] for i, b, e in spans], pa.string()),
        pa.array(score.astype(np.float32)),
    ]
    entities = pa.StructArray.from_arrays(columns, ["entity", "start", "end", "text", "score"])
    return list_column(entities, offsets_of(np.bincount(row, minlength=len(texts))))


def words_labels(
    word_of_token: NDArray[np.int32],
    logits: NDArray[np.float32],
    labels: Sequence[str],
    num_words: int,
    aggregation: Aggregation,
) -> pa.StructArray:
    """`struct<label: string, score: float>` of each of `num_words` words, whole labels with prefix.

    A word without any piece (an empty one, or one of characters that the tokenizer drops) has the
    label that marks no entity, or null in a set without, and a null score.

    Args:
        word_of_token: int32 `[n]`, ascending, below `num_words`; words of all rows are numbered through.
        logits: float32 `[n, num_labels]`.
        labels: names, by class id.
        aggregation: as for `entities_column`; "simple" is "first", as words are given.
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
    return pa.StructArray.from_arrays([names, pa.array(score, mask=is_empty)], ["label", "score"])


def label_units(
    logits: NDArray[np.float32], starts: NDArray[np.bool_], aggregation: Aggregation
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class id and probability of each unit, in their order.

    Args:
        logits: float32 `[n, num_labels]`, of pieces.
        starts: bool `[n]`, where units begin; the first one is true. "simple" does not look at it.
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

    S, E and the like speak of words: the further pieces of a word, which often repeat them, neither
    begin nor end anything. B does, as in Transformers.
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
    units = np.repeat(first - (np.cumsum(lengths) - lengths), lengths) + np.arange(len(index))
    return np.bincount(index, weights=scores[units], minlength=len(first)) / lengths


TASK = Task(
    name="token-classification",
    options=TokenClassificationHead,
    output_type=_output_type,
    sequence_spec=_sequence_spec,
    request=_request,
    build_modules=_build_modules,
    compute=_compute,
    decode=_decode,
    needs_offsets=True,
)
