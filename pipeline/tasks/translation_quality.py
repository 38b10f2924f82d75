"""Translation quality: scores and error spans of the COMET family (CometKiwi, UniTE, XCOMET) on XL and XXL.

Scores are those of COMET 2.2.7. `weights` is a checkpoint that `xlmr-convert` has made of a COMET checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.arrays.ragged import offsets_of
from pipeline.tasks.contract import HeadStates, OrderedHeadOutput, SequenceSpec, Task, place_rows, translation_spec
from pipeline.tasks.error_spans import SPAN_TYPE, find_spans, mqm_scores, spans_column, weighted_probabilities
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_tokens
from pipeline.tasks.sections import HeadSection, InputColumn, NonEmpty

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig
    from model.configuration.comet import CometOptions
    from pipeline.tasks.contract import HeadLayers, LayerReads

_SUB_SCORES = ("src_score", "ref_score", "unified_score")
"""The scores of a row's sequences: with the source, with the reference, with both."""
# Of XCOMET: the weights of the sequences' scores, and of MQM.
_SCORE_WEIGHTS = (0.12, 0.33, 0.33)
_MQM_WEIGHT = 0.22


class TranslationQualityHead(HeadSection):
    """How good a translation is: the scores of a COMET metric, and error spans where it has them."""

    task: Literal["translation-quality"]
    source: NonEmpty = Field(
        default="source",
        description="the name or dotted path of the column of texts that were translated",
        examples=["src"],
    )
    translation: NonEmpty = Field(
        default="translation",
        description="the name or dotted path of the column of translations. Spans are places in it.",
        examples=["mt"],
    )
    reference: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of the column of reference translations, for a checkpoint that was "
        "trained with them. A row is then three sequences. Without it, translations are scored by their source "
        "alone.",
        examples=["ref"],
    )
    blank: Literal["error", "score"] = Field(
        default="error",
        description='"error" or "score". A row with an empty or blank text has an error and no score, or it is '
        "scored, as COMET does it.",
        examples=["score"],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The translation, the source, and the reference if there is one."""
        options = ("translation", "source", "reference")
        columns = (self.translation, self.source, self.reference)
        pairs = zip(options, columns, strict=True)
        return tuple(InputColumn(column, "text", option) for option, column in pairs if column is not None)


def _comet_options(config: XLMRobertaXLConfig) -> CometOptions:
    """What a converted checkpoint says. Raises ValueError, which begins with `weights`."""
    from model.configuration.comet import CONFIG_KEY, CometOptions  # noqa: PLC0415

    values = getattr(config, CONFIG_KEY, None)
    if values is None:
        raise ValueError(
            f"weights: found no {CONFIG_KEY} in its config.json, expected a checkpoint that xlmr-convert has made "
            "of a COMET checkpoint; convert one, and name it"
        )
    try:
        return CometOptions.from_dict(values)
    except ValueError as error:
        raise ValueError(f"weights: {error}") from None


def _output_type(options: TranslationQualityHead, config: XLMRobertaXLConfig) -> pa.DataType:
    comet = _comet_options(config)
    if options.reference is not None and not comet.with_reference:
        raise ValueError(
            f'reference: found "{options.reference}", expected none, as this checkpoint was trained without '
            "references; leave it out, or name one of UniTE or XCOMET"
        )
    names = ["score", *_sub_scores(options, comet)]
    fields: dict[str, pa.DataType] = dict.fromkeys(names, pa.float32())
    if comet.metric == "xcomet_metric":
        fields["mqm_score"] = pa.float32()
    if comet.num_tags:
        fields["spans"] = pa.list_(SPAN_TYPE)
    return pa.struct(fields)


def _sub_scores(options: TranslationQualityHead, comet: CometOptions) -> tuple[str, ...]:
    """The names of the sequences' scores in the column; one that is the score itself is left out."""
    if options.reference is not None:
        return _SUB_SCORES
    return _SUB_SCORES[:1] if comet.metric == "xcomet_metric" else ()


def _sequence_spec(options: TranslationQualityHead, max_num_tokens: int) -> SequenceSpec:
    return translation_spec(options.text_columns, max_num_tokens, allows_blank=options.blank == "score")


def _layers(options: TranslationQualityHead, config: XLMRobertaXLConfig) -> HeadLayers:
    from model.layers.quality_head import quality_layers  # noqa: PLC0415

    return quality_layers(_comet_options(config), config.num_hidden_layers)


def _reads(options: TranslationQualityHead, config: XLMRobertaXLConfig) -> LayerReads:
    from model.layers.quality_head import quality_reads  # noqa: PLC0415

    return quality_reads(_comet_options(config), config.num_hidden_layers)


def _request(options: TranslationQualityHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """The tokens of `<s> translation </s>`."""
    return request_tokens(batch, np.zeros_like(batch.begin), batch.owned_size + 2)


def _compute(options: TranslationQualityHead, states: HeadStates) -> tuple[Tensor, ...]:
    """The score of each token's sequence `[N]`, and the logits of each token `[N, labels]`, all in fp32."""
    from model.layers.quality_head import ESTIMATOR, SENTENCE, TAGS, WORDS  # noqa: PLC0415

    assert states.sequence is not None
    scores_M = states.modules[ESTIMATOR](states.layers[SENTENCE].float())
    scores_N = scores_M.index_select(0, states.sequence)
    if TAGS not in states.modules:
        return (scores_N,)
    return scores_N, states.modules[TAGS](states.layers[WORDS].float())


def _decode(options: TranslationQualityHead, output: OrderedHeadOutput) -> pa.Array:
    comet = _comet_options(output.config)
    num_items = 1 if options.reference is None else len(_SUB_SCORES)
    item = output.windows.item[output.window]
    is_first_token = output.position == 0
    scores = output.floats[is_first_token].reshape(-1, num_items)
    rows = output.row[is_first_token][::num_items]
    if not comet.num_tags:
        return place_rows(_column(options, comet, scores, {}), rows, output.num_rows)
    # Each of a row's sequences begins with the same tokens.
    logits = [output.values[1][item == i].astype(np.float32) for i in range(num_items)]
    of_first = np.flatnonzero(item == 0)
    row_of_token = np.searchsorted(rows, output.row[of_first])
    row_offsets = offsets_of(np.bincount(row_of_token, minlength=len(rows)))
    spans = find_spans(weighted_probabilities(logits), row_offsets)
    token = output.flat_token[of_first]
    begins, ends = output.windows.begins.values[token], output.windows.ends.values[token]
    texts = output.context.take(pa.array(rows)).to_pylist()
    found = {"spans": spans_column(spans, comet.severities, texts, begins, ends, row_offsets)}
    mqm = mqm_scores(spans, comet.severities, len(rows))
    return place_rows(_column(options, comet, scores, found, mqm), rows, output.num_rows)


def _column(
    options: TranslationQualityHead,
    comet: CometOptions,
    scores: NDArray[np.float32],
    spans: dict[str, pa.Array],
    mqm: NDArray[np.float64] | None = None,
) -> pa.StructArray:
    """The column of rows with scores `[rows, sequences]` of their sequences."""
    shown = scores
    if comet.metric == "unified_metric":
        score = scores.mean(axis=1)
        found: dict[str, pa.Array] = {}
    else:
        assert mqm is not None
        capped = np.minimum(scores, np.float32(1))
        with_reference = options.reference is not None
        weights = np.array(_SCORE_WEIGHTS if with_reference else (sum(_SCORE_WEIGHTS),))
        score = (capped @ weights + _MQM_WEIGHT * mqm).astype(np.float32)
        shown = scores if with_reference else capped
        found = {"mqm_score": pa.array(mqm.astype(np.float32))}
    named = {name: pa.array(shown[:, i]) for i, name in enumerate(_sub_scores(options, comet))}
    columns = {"score": pa.array(score), **named, **found, **spans}
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


def _label_names(options: TranslationQualityHead, config: XLMRobertaXLConfig) -> list[str]:
    return list(_comet_options(config).severities)


def _labels(options: TranslationQualityHead, column: pa.StructArray) -> pa.Array | None:
    """The severities of the spans."""
    if "spans" not in column.type.names:
        return None
    return pc.struct_field(pc.list_flatten(pc.struct_field(column, "spans")), "severity")


TASK = Task(
    name="translation-quality",
    options=TranslationQualityHead,
    output_type=_output_type,
    sequence_spec=_sequence_spec,
    request=_request,
    layers=_layers,
    reads=_reads,
    compute=_compute,
    decode=_decode,
    needs_offsets=True,
    label_names=_label_names,
    labels=_labels,
)
