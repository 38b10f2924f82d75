"""Confident tokens: how many tokens of a text have a class that is more probable than a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipeline.tasks.contract import HeadStates, OrderedHeadOutput, Task, text_spec
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_owned_tokens
from pipeline.tasks.sections import TextHeadSection

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig
    from pipeline.tasks.contract import HeadLayers


class ConfidentTokensHead(TextHeadSection):
    """The number of tokens that a classifier of tokens is sure of."""

    task: Literal["confident-tokens"]
    threshold: float = Field(
        default=0.5, ge=0, lt=1, description="a probability, 0 or more and less than 1", examples=[0.5]
    )


def _output_type(options: ConfidentTokensHead, config: XLMRobertaXLConfig) -> pa.DataType:
    return pa.int32()


def _request(options: ConfidentTokensHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    return request_owned_tokens(batch)


def _layers(options: ConfidentTokensHead, config: XLMRobertaXLConfig) -> HeadLayers:
    from model.layers.head_layers import Labelling  # noqa: PLC0415

    return {"classifier": Labelling()}


def _compute(options: ConfidentTokensHead, states: HeadStates) -> tuple[Tensor, ...]:
    """The probability fp32 `[N]` of each token's likeliest class."""
    (logits,) = states.through_modules()
    return (logits.softmax(dim=-1).amax(dim=-1),)


def _decode(options: ConfidentTokensHead, output: OrderedHeadOutput) -> pa.Array:
    rows = output.row[output.floats > options.threshold]
    return pa.array(np.bincount(rows, minlength=output.num_rows).astype(np.int32))


TASK = Task(
    name="confident-tokens",
    options=ConfidentTokensHead,
    output_type=_output_type,
    sequence_spec=text_spec,
    request=_request,
    layers=_layers,
    compute=_compute,
    decode=_decode,
)
