"""Mask filling: the most probable tokens at each `<mask>` of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from pipeline.arrays.ragged import list_column
from pipeline.tasks.contract import HeadMemory, HeadStates, OrderedHeadOutput, SequenceSpec, Task
from pipeline.tasks.language_modeling import lm_head_layers, lm_head_of
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_tokens
from pipeline.tasks.sections import TextHeadSection

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLTokenizer

_COLUMN_TYPE = pa.list_(pa.list_(pa.struct({"token": pa.string(), "token_id": pa.int32(), "score": pa.float32()})))


class FillMaskHead(TextHeadSection):
    """The most probable tokens at each `<mask>` of a text."""

    task: Literal["fill-mask"]
    top_k: int = Field(
        default=5, ge=1, description="how many tokens a mask, 1 or more. The likeliest comes first.", examples=[10]
    )


def _sequence_spec(options: FillMaskHead, max_num_tokens: int) -> SequenceSpec:
    window = options.resolve_window(max_num_tokens)
    return SequenceSpec("text", (options.text,), *window, options.truncate, parses_mask=True)


def _request(options: FillMaskHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    return request_tokens(batch, batch.owned_begin, batch.owned_size, keep=batch.input_ids == batch.mask_id)


def _compute(options: FillMaskHead, states: HeadStates) -> tuple[Tensor, ...]:
    """Token ids int64 and log probabilities fp32 `[N, top_k]`, the most probable first."""
    from model.layers.vocab_top_k import vocab_parallel_top_k  # noqa: PLC0415

    lm_head = lm_head_of(states.modules)
    return vocab_parallel_top_k(
        lm_head.transform(states.requested),
        lm_head.decoder.weight,
        lm_head.decoder.bias,
        states.group,
        lm_head.decoder.shards["weight"],
        k=options.top_k,
        num_usable=states.num_usable_tokens,
    )


def _memory(options: FillMaskHead) -> HeadMemory:
    # A row has at least one mask and three tokens; texts with many masks are not planned for.
    return HeadMemory(vocabulary_share=1 / 3)


def _decode(options: FillMaskHead, output: OrderedHeadOutput) -> pa.Array:
    token_ids, log_probabilities = output.values
    return fill_mask_column(token_ids, log_probabilities, output.row_offsets, output.tokenizer)


def fill_mask_column(
    token_ids: NDArray[np.generic],
    log_probabilities: NDArray[np.generic],
    row_offsets: NDArray[np.int64],
    tokenizer: XLMRobertaXLTokenizer,
) -> pa.ListArray:
    """`list<list<struct<token: string, token_id: int32, score: float>>>`: the predictions for each mask of a row.

    Args:
        token_ids, log_probabilities: `[n, k]`, the masks of all rows in order, the most probable token first.
        row_offsets: int64 `[rows + 1]`.
    """
    num_masks, k = token_ids.shape
    ids = token_ids.ravel().astype(np.int32)
    # Decoded as by Transformers' pipeline, so without the metaspace.
    distinct, inverse = np.unique(ids, return_inverse=True)
    words = pa.array([tokenizer.decode([int(i)]) for i in distinct], pa.string())
    scores = np.exp(np.asarray(log_probabilities, dtype=np.float64)).ravel().astype(np.float32)
    guesses = pa.StructArray.from_arrays(
        [words.take(pa.array(inverse)), pa.array(ids), pa.array(scores)], ["token", "token_id", "score"]
    )
    return list_column(list_column(guesses, np.arange(num_masks + 1) * k), row_offsets)


TASK = Task(
    name="fill-mask",
    options=FillMaskHead,
    output_type=lambda *_: _COLUMN_TYPE,
    sequence_spec=_sequence_spec,
    request=_request,
    layers=lm_head_layers,
    compute=_compute,
    decode=_decode,
    memory=_memory,
)
