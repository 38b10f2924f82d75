"""What the tasks of the language model have in common: its head, and losses in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.tasks.contract import HeadStates, OrderedHeadOutput, place_rows
from pipeline.tasks.sections import HeadSection

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig, XLMRobertaXLModel, XLMRobertaXLTokenizer
    from model.layers.heads import LMHead
    from pipeline.tasks.contract import HeadModules

LOSS_TYPE = pa.struct({"loss": pa.float64(), "nll": pa.float64(), "num_tokens": pa.int32()})


def build_lm_head(options: HeadSection, config: XLMRobertaXLConfig, trunk: XLMRobertaXLModel) -> HeadModules:
    """The head of the language model, with the trunk's embeddings where the two are tied."""
    from model.layers.heads import LMHead  # noqa: PLC0415

    embedding = trunk.get_input_embeddings() if config.tie_word_embeddings else None
    return {"lm_head": LMHead(config, trunk.group, embedding)}


def lm_head_of(modules: HeadModules) -> LMHead:
    """The module that `build_lm_head` has made."""
    from model.layers.heads import LMHead  # noqa: PLC0415

    module = modules["lm_head"]
    assert isinstance(module, LMHead)
    return module


def token_losses(options: HeadSection, states: HeadStates) -> tuple[Tensor, ...]:
    """Negative log-likelihoods fp32 `[N]` of the labels, in nats."""
    assert states.labels is not None
    return (lm_head_of(states.modules).nll(states.of_tokens, states.labels),)


def loss_type(options: HeadSection, config: XLMRobertaXLConfig) -> pa.DataType:
    """`struct<loss: double, nll: double, num_tokens: int32>`."""
    return LOSS_TYPE


def decode_losses(
    options: HeadSection,
    config: XLMRobertaXLConfig,
    output: OrderedHeadOutput,
    tokenizer: XLMRobertaXLTokenizer,
) -> pa.Array:
    """The losses of each row, added up."""
    losses, rows = loss_column(output.floats, output.row)
    return place_rows(losses, rows, output.num_rows)


def loss_column(nll: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[pa.StructArray, NDArray[np.int64]]:
    """`struct<loss: double, nll: double, num_tokens: int32>` in nats, and the rows that have any token.

    Args:
        nll: fp32 `[n]`, one a token; `rows` int64 `[n]`, whose it is. Sums are made in this order, in fp64.
    """
    num_tokens = np.bincount(rows)
    total = np.bincount(rows, weights=nll.astype(np.float64))
    present = np.flatnonzero(num_tokens)
    total, num_tokens = total[present], num_tokens[present]
    columns = [pa.array(total / num_tokens), pa.array(total), pa.array(num_tokens.astype(np.int32))]
    return pa.StructArray.from_arrays(columns, ["loss", "nll", "num_tokens"]), present
