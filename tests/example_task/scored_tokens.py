"""Scored tokens: a score of the whole text from a mix of layers, and a class of each token from one layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import save_file

from model import XLMRobertaXLConfig
from pipeline.arrays.ragged import list_column
from pipeline.tasks.contract import HeadStates, OrderedHeadOutput, Task, text_spec
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_tokens
from pipeline.tasks.sections import TextHeadSection

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.tasks.contract import HeadLayers, LayerReads

NUM_CLASSES = 4
WORD_LAYER = 1


class ScoredTokensHead(TextHeadSection):
    """A score of a text, and the class of each of its tokens."""

    task: Literal["scored-tokens"]
    pooling: Literal["cls", "mean"] = "cls"
    is_normalized: bool = False


def _layers(options: ScoredTokensHead, config: XLMRobertaXLConfig) -> HeadLayers:
    from model.layers.head_layers import Labelling, Mixing  # noqa: PLC0415

    return {
        "mix": Mixing(config.num_hidden_layers + 1),
        "estimator": Labelling(num_labels=1, is_fp32=True),
        "tags": Labelling(num_labels=NUM_CLASSES, is_fp32=True),
    }


def _reads(options: ScoredTokensHead, config: XLMRobertaXLConfig) -> LayerReads:
    from model.layers.layer_reads import LayerRead  # noqa: PLC0415

    all_layers = tuple(range(config.num_hidden_layers + 1))
    return {
        "text": LayerRead(all_layers, options.pooling, "mix", options.is_normalized),
        "words": LayerRead((WORD_LAYER,), "token"),
    }


def _request(options: ScoredTokensHead, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    """The tokens that each window owns, and `<s>` before them."""
    return request_tokens(batch, np.zeros_like(batch.begin), batch.owned_begin + batch.owned_size)


def _compute(options: ScoredTokensHead, states: HeadStates) -> tuple[Tensor, ...]:
    """The score of each token's sequence `[N]`, and the logits of each token `[N, classes]`."""
    scores_M1 = states.modules["estimator"](states.layers["text"])
    assert states.sequence is not None
    return scores_M1[states.sequence, 0], states.modules["tags"](states.layers["words"])


def _decode(options: ScoredTokensHead, output: OrderedHeadOutput) -> pa.Array:
    """Of texts that fit in one window."""
    scores, logits = output.values
    classes = list_column(pa.array(logits.argmax(axis=1).astype(np.int32)), output.row_offsets)
    firsts = np.minimum(output.row_offsets[:-1], len(scores) - 1)
    return pa.StructArray.from_arrays([pa.array(scores[firsts]), classes], names=["score", "classes"])


TASK = Task(
    name="scored-tokens",
    options=ScoredTokensHead,
    output_type=lambda *_: pa.struct({"score": pa.float32(), "classes": pa.list_(pa.int32())}),
    sequence_spec=text_spec,
    request=_request,
    layers=_layers,
    reads=_reads,
    compute=_compute,
    decode=_decode,
)


def write_scored_tokens_head(
    directory: Path, config: XLMRobertaXLConfig, seed: int = 0
) -> dict[str, torch.Tensor]:
    """A head with random weights, without a trunk; returns its tensors."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "mix.weight": (config.num_hidden_layers + 1,),
        "mix.gamma": (1,),
        "estimator.weight": (1, config.hidden_size),
        "estimator.bias": (1,),
        "tags.weight": (NUM_CLASSES, config.hidden_size),
        "tags.bias": (NUM_CLASSES,),
    }
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    config.save_pretrained(directory)
    save_file(tensors, directory / "model.safetensors")
    return tensors
