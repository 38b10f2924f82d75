"""What the language modeling tasks share: the head, and losses in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from pipeline.tasks.contract import HeadStates, OrderedHeadOutput, place_rows
from pipeline.tasks.sections import AddedLater, HeadSection, TextHeadSection

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig
    from model.layers.heads import LMHead
    from pipeline.tasks.contract import HeadLayers, HeadModules

_LOSS_FIELDS = {"loss": pa.float64(), "nll": pa.float64(), "num_tokens": pa.int32()}
_PERPLEXITY = {"perplexity": pa.float64()}


class LossHead(TextHeadSection):
    """A head whose column is the loss of a text."""

    perplexity: Annotated[bool, AddedLater()] = Field(
        default=False,
        description="true (add exp(loss) to the column as `perplexity`) or false",
        examples=[True],
    )


def loss_type(options: LossHead, config: XLMRobertaXLConfig) -> pa.StructType:
    """`struct<loss: double, nll: double, num_tokens: int32>`, with `perplexity: double` if it is asked for."""
    return pa.struct(_LOSS_FIELDS | (_PERPLEXITY if options.perplexity else {}))


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


def decode_losses(options: LossHead, output: OrderedHeadOutput) -> pa.Array:
    """The sum and the mean of the losses of each row, and the exponential of the mean."""
    losses, rows = loss_column(output.floats, output.row, has_perplexity=options.perplexity)
    return place_rows(losses, rows, output.num_rows)


def loss_column(
    nll: NDArray[np.float32], rows: NDArray[np.int64], *, has_perplexity: bool = False
) -> tuple[pa.StructArray, NDArray[np.int64]]:
    """The column of `loss_type`, in nats, and the rows that have any token.

    `perplexity` is exp(loss), infinity where that is too large for a double.

    Args:
        nll: fp32 `[n]`, one for each token, summed in this order in fp64.
        rows: int64 `[n]`, the row of each token.
    """
    num_tokens = np.bincount(rows)
    total = np.bincount(rows, weights=nll.astype(np.float64))
    present = np.flatnonzero(num_tokens)
    total, num_tokens = total[present], num_tokens[present]
    loss = total / num_tokens
    columns = {"loss": loss, "nll": total, "num_tokens": num_tokens.astype(np.int32)}
    if has_perplexity:
        with np.errstate(over="ignore"):
            columns["perplexity"] = np.exp(loss)
    return pa.StructArray.from_arrays([pa.array(values) for values in columns.values()], [*columns]), present
