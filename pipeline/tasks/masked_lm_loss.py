"""Masked language modeling loss: the negative log-likelihood of masked tokens, in nats."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from pipeline.tasks.contract import HeadMemory, Masking, Task, text_spec
from pipeline.tasks.language_modeling import LossHead, decode_losses, lm_head_layers, loss_type, token_losses
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_tokens


class MaskedLMLossHead(LossHead):
    """Negative log-likelihood of masked tokens, in nats."""

    task: Literal["masked-lm-loss"]
    mask_probability: float = Field(
        default=0.15,
        gt=0,
        le=1,
        description="the share of tokens to mask, more than 0 and at most 1. A text has at least one masked "
        'token. Of no effect with strategy = "all".',
        examples=[0.15],
    )
    strategy: Literal["sample", "all"] = Field(
        default="sample",
        description='"sample" (mask a random share once) or "all" (mask every token in turn). "all" passes a '
        "text through the trunk once per token: it takes as many times the work as a text has tokens, and its "
        "losses do not depend on chance.",
        examples=["all"],
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="a whole number, 0 or more. It decides, with the place of a row in its file, which tokens are "
        'masked with strategy = "sample".',
        examples=[1],
    )


def _request(options: MaskedLMLossHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    zeros = np.zeros(len(batch.begin), dtype=np.int64)
    return request_tokens(batch, zeros, batch.length, keep=batch.is_labelled, labels=batch.labels)


def _memory(options: MaskedLMLossHead) -> HeadMemory:
    # A row has at least one label and three tokens.
    return HeadMemory(vocabulary_share=max(options.mask_probability, 1 / 3))


TASK = Task(
    name="masked-lm-loss",
    options=MaskedLMLossHead,
    output_type=loss_type,
    sequence_spec=text_spec,
    masking=lambda options: Masking(options.mask_probability, options.strategy, options.seed),
    request=_request,
    layers=lm_head_layers,
    compute=token_losses,
    decode=decode_losses,
    memory=_memory,
)
