"""Causal language modeling loss: the negative log-likelihood of each token given those before it, in nats."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pipeline.tasks.contract import HeadMemory, Task, text_spec
from pipeline.tasks.language_modeling import LossHead, decode_losses, lm_head_layers, loss_type, token_losses
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_tokens


class CausalLMLossHead(LossHead):
    """Negative log-likelihood of each token given those before it, in nats."""

    task: Literal["causal-lm-loss"]


def _request(options: CausalLMLossHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """Predict each token at the position before it, also the end token of the text."""
    num_targets = batch.owned_size + batch.windows.is_last[batch.window]
    return request_tokens(batch, batch.owned_begin - 1, num_targets, labels=np.roll(batch.input_ids, -1))


TASK = Task(
    name="causal-lm-loss",
    options=CausalLMLossHead,
    output_type=loss_type,
    sequence_spec=text_spec,
    request=_request,
    layers=lm_head_layers,
    compute=token_losses,
    decode=decode_losses,
    memory=lambda _: HeadMemory(vocabulary_share=1.0),
    is_causal=True,
)
