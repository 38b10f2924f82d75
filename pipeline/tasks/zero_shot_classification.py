"""Zero-shot classification: scores of candidate labels for a text, by a head that was trained on NLI.

As `ZeroShotClassificationPipeline` of Transformers, except that the contradiction label is found by its name
(Transformers takes the first label, or the last if the first is the entailment).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, StringConstraints

from pipeline.arrays.ragged import descending, list_column, offsets_of, segment_softmax, softmax
from pipeline.errors import ConfigError
from pipeline.tasks.contract import OrderedHeadOutput, SequenceSpec, Task
from pipeline.tasks.sections import FromList, InputColumn, NonEmpty, TextHeadSection, distinct
from pipeline.tasks.text_classification import classifier_layers
from pipeline.tasks.window_merging import item_means

if TYPE_CHECKING:
    from model import XLMRobertaXLConfig

PLACE = "{}"
"""The placeholder for the candidate label in a hypothesis template."""

_ENTAILMENT = re.compile(r"entail", re.IGNORECASE)
_CONTRADICTION = re.compile(r"contradict|(not|non|no)[\W_]*entail", re.IGNORECASE)

_COLUMN_TYPE = pa.struct({"labels": pa.list_(pa.string()), "scores": pa.list_(pa.float32())})


def _one_place(template: str) -> str:
    if template.count(PLACE) != 1:
        raise ValueError(f"expected one {PLACE}")
    return template


class ZeroShotHead(TextHeadSection):
    """Which of several candidate labels a text is about, by a head for natural language inference."""

    task: Literal["zero-shot-classification"]
    labels: (
        Annotated[
            tuple[Annotated[str, StringConstraints(pattern=r"\S")], ...],
            Field(min_length=1),
            AfterValidator(distinct),
            FromList,
        ]
        | None
    ) = Field(
        default=None,
        description="a list of labels, at least one, none blank, each once. They are the candidates for all rows. "
        "Without it, `labels_column` is needed.",
        examples=[["sports", "politics"]],
    )
    labels_column: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of a list column with the labels of a row. Without it, all rows "
        "have the same `labels`.",
        examples=["labels"],
    )
    hypothesis_template: Annotated[str, AfterValidator(_one_place)] = Field(
        default="This example is {}.",
        description="a sentence with one {} in the place of the label. The head judges whether the text entails "
        "it.",
        examples=["This text is about {}."],
    )
    multi_label: bool = Field(
        default=False,
        description="true (each label is judged alone) or false (the scores sum to 1). Each label is a pass of "
        "the text through the trunk either way.",
        examples=[True],
    )

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        if self.labels is None and self.labels_column is None:
            problems.append(
                "labels: is missing, expected it or labels_column; add for example "
                'labels = ["sports", "politics"], or labels_column = "labels"'
            )
        if self.labels is not None and self.labels_column is not None:
            problems.append(
                f'labels_column: found "{self.labels_column}" and labels, expected one of the two; remove one'
            )
        return problems

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text, and the labels if they come from a column."""
        if self.labels_column is None:
            return super().input_columns
        return (*super().input_columns, InputColumn(self.labels_column, "list of text", "labels_column"))


def _check_weights(options: ZeroShotHead, config: XLMRobertaXLConfig) -> None:
    entailment_ids(config.id2label, multi_label=options.multi_label)


def _sequence_spec(options: ZeroShotHead, max_num_tokens: int) -> SequenceSpec:
    columns = (options.text,) if options.labels_column is None else (options.text, options.labels_column)
    window = options.resolve_window(max_num_tokens)
    return SequenceSpec(
        "hypotheses", columns, *window, options.truncate, options.labels or (), options.hypothesis_template
    )


def _decode(options: ZeroShotHead, output: OrderedHeadOutput) -> pa.Array:
    logits, rows = item_means(output)
    offsets = offsets_of(np.bincount(rows, minlength=output.num_rows))
    entailment, contradiction = entailment_ids(output.config.id2label, multi_label=options.multi_label)
    scores = zero_shot_scores(logits, offsets, entailment, contradiction, multi_label=options.multi_label)
    present = np.diff(offsets) > 0
    labels = [label for row in np.flatnonzero(present).tolist() for label in output.context[row].as_py()]
    return zero_shot_column(scores, offsets, labels)


def entailment_ids(id2label: Mapping[int, str], *, multi_label: bool = False) -> tuple[int, int | None]:
    """Class ids of entailment and contradiction (or None), found by the beginning of the label names.

    Entailment begins with "entail", contradiction with "contradict" or "not_entail" (also "non-", "no "), in upper
    or lower case. If there are two labels, the other one is the contradiction, whatever its name.

    Raises:
        ConfigError: not exactly one label matches entailment; several match contradiction; or none does and
            `multi_label` needs it.
    """
    entailment = _find(id2label, _ENTAILMENT)
    if len(entailment) != 1:
        raise _refusal(id2label, entailment, "'entail'")
    contradiction = _find(id2label, _CONTRADICTION)
    if not contradiction and len(id2label) == 2:
        contradiction = [i for i in id2label if i not in entailment]
    if len(contradiction) > 1 or (multi_label and not contradiction):
        raise _refusal(id2label, contradiction, "'contradict' or 'not_entail'")
    return entailment[0], contradiction[0] if contradiction else None


def _find(id2label: Mapping[int, str], pattern: re.Pattern[str]) -> list[int]:
    return [i for i, label in sorted(id2label.items()) if pattern.match(str(label).strip())]


def _refusal(id2label: Mapping[int, str], found: Sequence[int], beginning: str) -> ConfigError:
    all_labels = ", ".join(repr(label) for _, label in sorted(id2label.items()))
    names = " and ".join(repr(id2label[i]) for i in found) or f"none among {all_labels}"
    return ConfigError(
        f"id2label: found {names}, expected exactly one label that begins with {beginning}; name a "
        "head that was trained on NLI, or correct the names under id2label in its config.json"
    )


def hypotheses(template: str, labels: Sequence[str]) -> list[str]:
    """The template with each label inserted."""
    before, after = template.split(PLACE)
    return [f"{before}{label}{after}" for label in labels]


def zero_shot_scores(
    logits: NDArray[np.float32],
    row_offsets: NDArray[np.int64],
    entailment: int,
    contradiction: int | None,
    *,
    multi_label: bool,
) -> NDArray[np.float64]:
    """Score `[n]` of each candidate label.

    The softmax of the entailment logits over the row's candidates. With `multi_label`, or if a row has a single
    candidate, the softmax over entailment and contradiction, or over all classes if there is no contradiction.

    Args:
        logits: float32 `[n, num_labels]`, for each candidate of each row.
        row_offsets: int64 `[rows + 1]`.
    """
    together = segment_softmax(logits[:, entailment], row_offsets)
    is_alone = np.full(len(logits), multi_label)
    lengths = np.diff(row_offsets)
    is_alone |= np.repeat(lengths == 1, lengths)
    if not is_alone.any():
        return together
    alone = logits[is_alone]
    if contradiction is None:
        together[is_alone] = softmax(alone)[:, entailment]
    else:
        together[is_alone] = softmax(alone[:, [entailment, contradiction]])[:, 0]
    return together


def zero_shot_column(
    scores: NDArray[np.float64], row_offsets: NDArray[np.int64], labels: Sequence[str]
) -> pa.StructArray:
    """`struct<labels: list<string>, scores: list<float>>`, each row sorted by descending score, stably.

    Args:
        scores, labels: `[n]`, of each candidate of each row.
        row_offsets: int64 `[rows + 1]`.
    """
    order = descending(scores, row_offsets)
    names = pa.array(labels, pa.string()).take(pa.array(order))
    values = pa.array(scores[order].astype(np.float32))
    lists = [list_column(column, row_offsets) for column in (names, values)]
    return pa.StructArray.from_arrays(lists, fields=list(_COLUMN_TYPE))


def _labels(options: ZeroShotHead, column: pa.StructArray) -> pa.Array | None:
    """The best label of each row, unless the rows bring their own, which may be text of the corpus."""
    return pc.list_element(pc.struct_field(column, "labels"), 0) if options.labels else None


TASK = Task(
    name="zero-shot-classification",
    options=ZeroShotHead,
    output_type=lambda *_: _COLUMN_TYPE,
    sequence_spec=_sequence_spec,
    layers=classifier_layers,
    decode=_decode,
    check_weights=_check_weights,
    label_names=lambda options, _: list(options.labels or ()),
    labels=_labels,
)
