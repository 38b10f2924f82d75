"""Multiple choice: which of several texts fits a prompt best, with scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from pipeline.arrays.ragged import list_column, offsets_of, segment_argmax, segment_softmax
from pipeline.tasks.contract import OrderedHeadOutput, SequenceSpec, Task, without_logits
from pipeline.tasks.sections import AddedLater, FromList, InputColumn, NonEmpty, WindowedHeadSection, distinct
from pipeline.tasks.window_merging import item_means

if TYPE_CHECKING:
    from model import XLMRobertaXLConfig
    from pipeline.tasks.contract import HeadLayers

_COLUMN_TYPE = pa.struct(
    {"choice": pa.int32(), "scores": pa.list_(pa.float32()), "logits": pa.list_(pa.float32())}
)


class MultipleChoiceHead(WindowedHeadSection):
    """Which of several texts fits a prompt best."""

    task: Literal["multiple-choice"]
    prompt: NonEmpty = Field(
        default="prompt",
        description="the name or dotted path of the column of prompts. Each choice is read together with its "
        "prompt.",
        examples=["premise"],
    )
    choices: (
        NonEmpty | Annotated[tuple[NonEmpty, ...], Field(min_length=2), AfterValidator(distinct), FromList]
    ) = Field(
        default="choices",
        description="the name or dotted path of a list column, or a list of two or more text columns, each once. "
        "The output names the best choice by its index, from 0.",
        examples=[["choice1", "choice2"]],
    )
    logits: Annotated[bool, AddedLater()] = Field(
        default=True,
        description="true or false (leave the logits out of the column)",
        examples=[False],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The prompt, then the list column or the text columns of the choices."""
        prompt = InputColumn(self.prompt, "text", "prompt")
        if isinstance(self.choices, str):
            return (prompt, InputColumn(self.choices, "list of text", "choices"))
        return (prompt, *(InputColumn(choice, "text", "choices") for choice in self.choices))


def _sequence_spec(options: MultipleChoiceHead, max_num_tokens: int) -> SequenceSpec:
    choices = (options.choices,) if isinstance(options.choices, str) else options.choices
    window = options.resolve_window(max_num_tokens)
    return SequenceSpec("choices", (options.prompt, *choices), *window, options.truncate)


def _layers(options: MultipleChoiceHead, config: XLMRobertaXLConfig) -> HeadLayers:
    from model.layers.head_layers import Labelling, Pooling  # noqa: PLC0415

    return {"pooler": Pooling(), "classifier": Labelling(num_labels=1)}


def _decode(options: MultipleChoiceHead, output: OrderedHeadOutput) -> pa.Array:
    scores, rows = item_means(output)
    return choices_column(scores[:, 0], offsets_of(np.bincount(rows, minlength=output.num_rows)))


def choices_column(logits: NDArray[np.float32], row_offsets: NDArray[np.int64]) -> pa.StructArray:
    """`struct<choice: int32, scores: list<float>, logits: list<float>>`, one value a row.

    `choice` is the index of the best choice, the first among equals; `scores` are the softmax over the row's
    choices. A row without choices is null.

    Args:
        logits: float32 `[n]`, one for each choice, the choices of each row in order.
        row_offsets: int64 `[rows + 1]`.
    """
    is_present = np.diff(row_offsets) > 0
    choice = np.zeros(len(is_present), dtype=np.int32)
    choice[is_present] = segment_argmax(logits, row_offsets) - row_offsets[:-1][is_present]
    scores = segment_softmax(logits, row_offsets).astype(np.float32)
    lists = (list_column(pa.array(values), row_offsets) for values in (scores, logits))
    return pa.StructArray.from_arrays(
        [pa.array(choice), *lists], fields=list(_COLUMN_TYPE), mask=pa.array(~is_present)
    )


TASK = Task(
    name="multiple-choice",
    options=MultipleChoiceHead,
    output_type=lambda options, _: _COLUMN_TYPE if options.logits else without_logits(_COLUMN_TYPE),
    sequence_spec=_sequence_spec,
    layers=_layers,
    decode=_decode,
    labels=lambda _, column: pc.struct_field(column, "choice").cast(pa.string()),
)
