"""What the language modeling tasks share: the head, and losses in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tasks.contract import HeadStates, OrderedHeadOutput, place_rows
from pipeline.tasks.sections import HeadSection

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig
    from model.layers.heads import LMHead
    from pipeline.tasks.contract import HeadLayers, HeadModules

LOSS_TYPE = pa.struct({"loss": pa.float64(), "nll": pa.float64(), "num_tokens": pa.int32()})


def lm_head_layers(options: HeadSection, config: XLMRobertaXLConfig) -> HeadLayers:
    """The language modeling head; shares the trunk's embeddings if they are tied."""
    from model.layers.head_layers import LanguageModeling  # noqa: PLC0415

    return {"lm_head": LanguageModeling()}


def lm_head_of(modules: HeadModules) -> LMHead:
    """The module of `lm_head_layers`."""
    from model.layers.heads import LMHead  # noqa: PLC0415

    module = modules["lm_head"]
    assert isinstance(module, LMHead)
    return module


def token_losses(options: HeadSection, states: HeadStates) -> tuple[Tensor, ...]:
    """Negative log-likelihoods fp32 `[N]` of the labels, in nats."""
    assert states.labels is not None
    return (lm_head_of(states.modules).nll(states.requested, states.labels),)


def decode_losses(options: HeadSection, output: OrderedHeadOutput) -> pa.Array:
    """The sum and the mean of the losses of each row."""
    losses, rows = loss_column(output.floats, output.row)
    return place_rows(losses, rows, output.num_rows)


def loss_column(nll: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[pa.StructArray, NDArray[np.int64]]:
    """`struct<loss: double, nll: double, num_tokens: int32>` in nats, and the rows that have any token.

    Args:
        nll: fp32 `[n]`, one for each token, summed in this order in fp64.
        rows: int64 `[n]`, the row of each token.
    """
    num_tokens = np.bincount(rows)
    total = np.bincount(rows, weights=nll.astype(np.float64))
    present = np.flatnonzero(num_tokens)
    total, num_tokens = total[present], num_tokens[present]
    columns = [pa.array(total / num_tokens), pa.array(total), pa.array(num_tokens.astype(np.int32))]
    return pa.StructArray.from_arrays(columns, ["loss", "nll", "num_tokens"]), present
