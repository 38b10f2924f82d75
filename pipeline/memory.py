"""What a rank needs (bytes of its shard, a bound on what a batch takes beside it), and what it has taken."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from model import XLMRobertaXLConfig, XLMRobertaXLModel
from model.checkpoint import parameters_of
from model.heads import LMHead
from model.loss import VOCAB_BLOCK_SIZE
from pipeline.head_config import MaskedLMLossHead
from pipeline.heads import Head, read_config


@dataclass(frozen=True)
class RankMemory:
    """Bytes of one rank, without the Python process itself (some 0.6 GB with torch and Ray)."""

    weights: int
    activations: int


def rank_memory(
    heads: Sequence[Head], *, tensor_parallel_size: int, token_budget: int, dtype: torch.dtype
) -> RankMemory:
    """Bytes of weights, and a bound on the activations of a batch, for the rank that holds most."""
    weights = activations = 0
    for trunk in dict.fromkeys(head.trunk for head in heads):
        config = read_config(trunk, "trunk")
        weights += _trunk_parameters(config, tensor_parallel_size) * dtype.itemsize
        layer = _layer_bytes(config, tensor_parallel_size, token_budget, dtype)
        activations = max(activations, layer)
    for head in heads:
        if isinstance(head.options, MaskedLMLossHead):
            weights += _lm_head_parameters(head.config, tensor_parallel_size) * dtype.itemsize
            num_labelled = math.ceil(token_budget * head.options.mask_probability)
            activations = max(activations, _loss_bytes(head.config, token_budget, num_labelled, dtype))
    return RankMemory(weights, activations)


def _trunk_parameters(config: XLMRobertaXLConfig, size: int) -> int:
    with torch.device("meta"):
        model = XLMRobertaXLModel(config, add_pooling_layer=False)
    entries = parameters_of(model)
    return sum(
        math.ceil(e.parameter.numel() / size) if e.shard is not None else e.parameter.numel() for e in entries
    )


def _lm_head_parameters(config: XLMRobertaXLConfig, size: int) -> int:
    """Dense, LayerNorm and bias; and the projection, unless it is tied to the embeddings."""
    with torch.device("meta"):
        head = LMHead(config, XLMRobertaXLModel(config).group)
    projection = 0 if config.tie_word_embeddings else head.decoder.weight.numel()
    replicated = head.dense.weight.numel() + 3 * config.hidden_size
    return replicated + math.ceil((projection + config.vocab_size) / size)


def _layer_bytes(config: XLMRobertaXLConfig, size: int, num_tokens: int, dtype: torch.dtype) -> int:
    """The widest moment of a layer: the residual, its normalised copy, and the block at work on this rank."""
    hidden = 2 * config.hidden_size
    attention = 5 * config.hidden_size // size + config.hidden_size
    feed_forward = 2 * config.intermediate_size // size + config.hidden_size
    return num_tokens * (hidden + max(attention, feed_forward)) * dtype.itemsize


def _loss_bytes(config: XLMRobertaXLConfig, num_tokens: int, num_labelled: int, dtype: torch.dtype) -> int:
    """States of the batch, those of the labelled tokens, and one block of the vocabulary, in fp32."""
    states = num_tokens * config.hidden_size * dtype.itemsize
    labelled = num_labelled * (3 * config.hidden_size + 2 * VOCAB_BLOCK_SIZE) * 4
    return states + labelled + VOCAB_BLOCK_SIZE * config.hidden_size * 4


def peak_memory(device: str) -> int:
    """Most bytes that this process has held: of the GPU, or resident in memory (mapped files included)."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def reset_peak_memory(device: str) -> None:
    """Count anew from here: `peak_memory` then tells the peak of computing without that of loading."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
