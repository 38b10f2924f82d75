"""Text classification and regression: labels with scores, or a value, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.arrays.ragged import list_column, softmax
from pipeline.errors import ConfigError
from pipeline.tasks.contract import (
    OrderedHeadOutput,
    SequenceSpec,
    Task,
    class_labels,
    place_rows,
    text_spec,
    without_logits,
)
from pipeline.tasks.feature_heads import (
    check_pooling,
    compute_logits,
    feature_head_of,
    feature_layers,
    feature_reads,
)
from pipeline.tasks.sections import AddedLater, InputColumn, NonEmpty, TextHeadSection
from pipeline.tasks.window_merging import row_means

if TYPE_CHECKING:
    from model import XLMRobertaXLConfig
    from pipeline.tasks.contract import HeadLayers

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""What a classifier predicts, by the names of `problem_type` in a Hugging Face config.json."""

_STRINGS, _FLOATS = pa.list_(pa.string()), pa.list_(pa.float32())
_COLUMN_TYPES: dict[ProblemType, pa.DataType] = {
    "single_label_classification": pa.struct({"label": pa.string(), "score": pa.float32(), "logits": _FLOATS}),
    "multi_label_classification": pa.struct({"labels": _STRINGS, "scores": _FLOATS, "logits": _FLOATS}),
    "regression": pa.struct({"value": pa.float32()}),
}


class TextClassificationHead(TextHeadSection):
    """Single-label or multi-label classification or regression, according to the head's `problem_type`."""

    task: Literal["text-classification"]
    text_pair: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of the column with the second text of a pair. Without it, texts are "
        "read alone.",
        examples=["hypothesis"],
    )
    logits: Annotated[bool, AddedLater()] = Field(
        default=True,
        description="true or false (leave the logits out of the column)",
        examples=[False],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text, and the second text of a pair."""
        pair = () if self.text_pair is None else (InputColumn(self.text_pair, "text", "text_pair"),)
        return (*super().input_columns, *pair)


def problem_type(config: XLMRobertaXLConfig) -> ProblemType:
    """What a classifier predicts; inferred from the number of labels if its configuration does not say."""
    if config.problem_type is not None:
        return next(p for p in get_args(ProblemType) if p == config.problem_type)
    return "regression" if config.num_labels == 1 else "single_label_classification"


def _output_type(options: TextClassificationHead, config: XLMRobertaXLConfig) -> pa.DataType:
    type_ = _COLUMN_TYPES[problem_type(config)]
    return type_ if options.logits else without_logits(type_)


def _check_weights(options: TextClassificationHead, config: XLMRobertaXLConfig) -> None:
    if problem_type(config) == "regression" and config.num_labels > 1:
        raise ConfigError(
            f"problem_type: found 'regression' with {config.num_labels} labels, expected one; name a head that "
            "predicts a single value"
        )
    check_pooling(config, of_tokens=False)


def _sequence_spec(options: TextClassificationHead, max_num_tokens: int) -> SequenceSpec:
    if options.text_pair is None:
        return text_spec(options, max_num_tokens)
    window = options.resolve_window(max_num_tokens)
    return SequenceSpec("pair", (options.text, options.text_pair), *window, options.truncate)


def classifier_layers(options: object, config: XLMRobertaXLConfig) -> HeadLayers:
    """The classifier on `<s>`, as for all tasks that classify whole sequences."""
    from model.layers.head_layers import Classifying  # noqa: PLC0415

    return {"classifier": Classifying()}


def _layers(options: TextClassificationHead, config: XLMRobertaXLConfig) -> HeadLayers:
    head = feature_head_of(config)
    return classifier_layers(options, config) if head is None else feature_layers(head)


def _decode(options: TextClassificationHead, output: OrderedHeadOutput) -> pa.Array:
    means, rows = row_means(output)
    column = classification_column(means, class_labels(output.config), problem_type(output.config))
    return place_rows(column, rows, output.num_rows)


def classification_column(
    logits: NDArray[np.float32], labels: Sequence[str], problem_type: ProblemType
) -> pa.StructArray:
    """The column for logits `[n, num_labels]`: softmax, sigmoid with several labels, or the bare value.

    In multi-label classification, `labels` are those with a probability of at least one half, and `scores` has
    all of them, by class id.
    """
    if problem_type == "regression":
        return pa.StructArray.from_arrays([pa.array(np.ascontiguousarray(logits[:, 0]))], ["value"])
    all_labels = pa.array(labels, pa.string())
    if problem_type == "single_label_classification":
        best = logits.argmax(axis=1)
        scores = softmax(logits)[np.arange(len(best)), best].astype(np.float32)
        return pa.StructArray.from_arrays(
            [all_labels.take(pa.array(best)), pa.array(scores), _lists(logits)], ["label", "score", "logits"]
        )
    import torch  # noqa: PLC0415  # its sigmoid equals that of Transformers to the last bit

    scores = torch.from_numpy(logits).double().sigmoid().float().numpy()
    holds = scores >= 0.5
    offsets = np.concatenate([[0], np.cumsum(holds.sum(axis=1))])
    names = all_labels.take(pa.array(np.nonzero(holds)[1]))
    return pa.StructArray.from_arrays(
        [list_column(names, offsets), _lists(scores), _lists(logits)], ["labels", "scores", "logits"]
    )


def _lists(values: NDArray[np.float32]) -> pa.ListArray:
    """An array `[n, k]` as n lists."""
    num_rows, width = values.shape
    return list_column(pa.array(values.ravel()), np.arange(num_rows + 1) * width)


def _labels(options: TextClassificationHead, column: pa.StructArray) -> pa.Array | None:
    match column.type.names[0]:
        case "label":
            return pc.struct_field(column, "label")
        case "labels":
            return pc.list_flatten(pc.struct_field(column, "labels"))
    return None


TASK = Task(
    name="text-classification",
    options=TextClassificationHead,
    output_type=_output_type,
    sequence_spec=_sequence_spec,
    layers=_layers,
    reads=feature_reads,
    compute=compute_logits,
    decode=_decode,
    check_weights=_check_weights,
    label_names=lambda _, config: [] if problem_type(config) == "regression" else class_labels(config),
    labels=_labels,
)
