"""What a rank needs (bytes of its shard, a bound on what a batch takes beside it), and what it has taken."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from model import ShardGroup, XLMRobertaXLConfig, XLMRobertaXLModel
from model.inference.amx_layer import TILED_SLICE_TOKENS, fits_tiles
from model.inference.linear import CPU_SLICE_MULTIPLE, CPU_SLICE_TOKENS
from model.layers.attention import num_filled_lengths
from model.layers.loss import vocab_block_size
from pipeline.heads.modules import build_head, build_trunk
from pipeline.heads.resolve import Head, read_config
from pipeline.precision import Precision
from pipeline.tasks.contract import HeadMemory


@dataclass(frozen=True)
class RankMemory:
    """Bytes of one rank, without the Python process itself (some 0.6 GB with torch and Ray).

    Attributes:
        loading: of weights while they are loaded, before the last trunk is quantized.
    """

    weights: int
    activations: int
    loading: int


# Of the memory that the slices of a batch use again and again, how much glibc's heap holds: blocks of many sizes
# between small ones that stay. Measured: up to 4 times what the longest slice takes.
_HEAP_FACTOR = 4
# The same of what comes and goes beside the layers' own memory where they are in tiles.
_HEAP_FACTOR_OF_TILES = 2
# Measured: a kernel of oneDNN for a product, and the two for a length in attention. It keeps 1,024 of all.
_PRODUCT_KERNEL_BYTES = 700_000
_NUM_PRODUCTS = 4
_ATTENTION_KERNELS_BYTES = 2_000_000
_MAX_KERNEL_BYTES = 1024 * _PRODUCT_KERNEL_BYTES
# The input of a float8 product in fp32, and its codes.
_FLOAT8_BYTES = 5


def rank_memory(
    heads: Sequence[Head],
    *,
    tensor_parallel_size: int,
    token_budget: int,
    dtype: str,
    device: str = "cpu",
) -> RankMemory:
    """Bytes of weights, and a bound on the activations of a batch, for the rank that holds most.

    Args:
        dtype: a resolved `model.dtype`.
    """
    precision = Precision.named(dtype)
    weights, loading = _weight_bytes(heads, tensor_parallel_size, precision)
    activations = _activation_bytes(heads, tensor_parallel_size, token_budget, precision, device)
    return RankMemory(weights, activations, loading)


def _weight_bytes(heads: Sequence[Head], size: int, precision: Precision) -> tuple[int, int]:
    """What stays, and the most while it is loaded: a trunk is quantized before the next one is loaded."""
    item_size = precision.dtype.itemsize
    whole = _num_parameters(heads, size) * item_size
    if precision.quantization is None:
        return whole, whole
    # One byte a weight is left; scales are few.
    saved = [num_weights * (item_size - 1) for num_weights in _num_product_weights(heads, size)]
    weights = whole - sum(saved)
    return weights, weights + max(saved)


def _activation_bytes(
    heads: Sequence[Head], size: int, token_budget: int, precision: Precision, device: str
) -> int:
    item_size = precision.dtype.itemsize
    activations = kept = 0
    for trunk in dict.fromkeys(head.trunk for head in heads):
        config = read_config(trunk, "trunk")
        generating = [_memory_of(head) for head in heads if head.trunk == trunk and head.task.generates]
        if generating or device == "cuda":
            trunk_bytes = _whole_batch_bytes(config, size, token_budget, item_size)
            if precision.quantization == "float8":
                trunk_bytes += _FLOAT8_BYTES * token_budget * config.intermediate_size // size
        else:
            trunk_bytes, kept_bytes = _cpu_bytes(config, size, token_budget, precision)
            kept += kept_bytes
        cache_bytes = max((_cache_bytes(config, m, size, token_budget, item_size) for m in generating), default=0)
        activations = max(activations, trunk_bytes + cache_bytes)
    head_bytes = 0
    for head in heads:
        share = _memory_of(head).vocabulary_share
        if share:
            num_labelled = math.ceil(token_budget * share)
            head_bytes = max(head_bytes, _loss_bytes(head.config, num_labelled, device))
    if device == "cuda":
        # What a layer took is there again for a head.
        states = max((token_budget * head.config.hidden_size * item_size for head in heads), default=0)
        leaving = sum(_vector_bytes(head, token_budget) for head in heads)
        return max(activations, states + head_bytes) + leaving
    return activations + head_bytes + kept


def _memory_of(head: Head) -> HeadMemory:
    return head.task.memory(head.options)


def _trunks_of_last_rank(heads: Sequence[Head], size: int) -> dict[str, XLMRobertaXLModel]:
    """Without weights. Where parts cannot be equal, this rank has the larger one."""
    group = ShardGroup()
    if size > 1:
        # Nothing is sent: the modules stay on the meta device.
        group = ShardGroup(size - 1, size, dist.ProcessGroup(dist.HashStore(), size - 1, size))
    return {path: build_trunk(path, group) for path in dict.fromkeys(head.trunk for head in heads)}


def _num_parameters(heads: Sequence[Head], size: int) -> int:
    trunks = _trunks_of_last_rank(heads, size)
    modules: list[nn.Module] = list(trunks.values())
    for head in heads:
        modules += build_head(head, trunks[head.trunk]).values()
    # Tied weights are one parameter.
    parameters = {id(p): p.numel() for module in modules for p in module.parameters()}
    return sum(parameters.values())


def _num_product_weights(heads: Sequence[Head], size: int) -> list[int]:
    """Of the matrices in the layers of each trunk."""
    return [
        sum(parameter.numel() for parameter in trunk.encoder.layer.parameters() if parameter.dim() == 2)
        for trunk in _trunks_of_last_rank(heads, size).values()
    ]


def _whole_batch_bytes(config: XLMRobertaXLConfig, size: int, num_tokens: int, item_size: int) -> int:
    """The widest moment of a layer: the residual, its normalised copy, and the block at work on this rank."""
    hidden = 2 * config.hidden_size
    attention = 5 * config.hidden_size // size + config.hidden_size
    feed_forward = 2 * config.intermediate_size // size + config.hidden_size
    return num_tokens * (hidden + max(attention, feed_forward)) * item_size


def _cpu_bytes(config: XLMRobertaXLConfig, size: int, num_tokens: int, precision: Precision) -> tuple[int, int]:
    """Fused layers on a CPU like this one: what comes and goes with a batch, and what a trunk keeps."""
    if fits_tiles(config, precision.quantization, precision.dtype):
        return _tiled_bytes(config, size, num_tokens, precision)
    item_size = precision.dtype.itemsize
    states = num_tokens * config.hidden_size * item_size
    slice_size = _slice_size(config, num_tokens, CPU_SLICE_TOKENS)
    kernels = _kernel_bytes(config, slice_size) if precision.dtype == torch.bfloat16 else 0
    return states + _HEAP_FACTOR * _whole_batch_bytes(config, size, slice_size, item_size), kernels


def _tiled_bytes(config: XLMRobertaXLConfig, size: int, num_tokens: int, precision: Precision) -> tuple[int, int]:
    """Layers in tiles. States come and go, which are the residual before; on several ranks also three of its kind
    where embeddings are summed. What layers make is kept (see `model.kernels.amx.kernels.Room`)."""
    slice_size = _slice_size(config, num_tokens, TILED_SLICE_TOKENS)
    item_size = precision.dtype.itemsize
    attention_size = math.ceil(config.num_attention_heads / size) * config.head_size
    intermediate_size = math.ceil(config.intermediate_size / size)
    kept = (2 * config.hidden_size + 4 * attention_size + intermediate_size) * item_size
    if precision.quantization == "int8":
        kept += max(config.hidden_size, intermediate_size)
    num_embedded = 3 * slice_size if size > 1 else 0
    beside = (num_tokens + num_embedded) * config.hidden_size * item_size
    return _HEAP_FACTOR_OF_TILES * beside, slice_size * kept


def _slice_size(config: XLMRobertaXLConfig, num_tokens: int, slice_tokens: int) -> int:
    """Tokens of the longest slice there can be."""
    return min(num_tokens, slice_tokens + config.max_num_tokens)


def _kernel_bytes(config: XLMRobertaXLConfig, slice_size: int) -> int:
    """What oneDNN keeps for a trunk: kernels for each size of a slice, and for each length in attention."""
    num_slice_sizes = math.ceil(slice_size / CPU_SLICE_MULTIPLE)
    of_attention = _ATTENTION_KERNELS_BYTES * num_filled_lengths(config.max_num_tokens)
    return min(_PRODUCT_KERNEL_BYTES * _NUM_PRODUCTS * num_slice_sizes + of_attention, _MAX_KERNEL_BYTES)


def _cache_bytes(config: XLMRobertaXLConfig, head: HeadMemory, size: int, num_tokens: int, item_size: int) -> int:
    """Keys and values of all layers for a batch of prompts that fill the model, and for what is added to each;
    shorter prompts are more of them, and need more."""
    num_prompts = max(1, num_tokens // config.max_num_tokens)
    num_cached = (num_tokens + num_prompts * head.max_new_tokens) * head.num_beams
    return num_cached * 2 * config.num_hidden_layers * config.hidden_size // size * item_size


def _loss_bytes(config: XLMRobertaXLConfig, num_labelled: int, device: str) -> int:
    """States of the labelled tokens and one block of the vocabulary, weights and logits, in fp32.

    In tiles (see `model.kernels.amx.vocabulary`) it is less: the states once more, and two numbers for each chunk.
    """
    block_size = vocab_block_size(num_labelled, device)
    return (num_labelled * (3 * config.hidden_size + 2 * block_size) + 2 * block_size * config.hidden_size) * 4


def _vector_bytes(head: Head, num_tokens: int) -> int:
    """Of the batch before, what is there until it has left the GPU, while this one is launched. What other heads
    give is little."""
    tokens_per_vector = _memory_of(head).tokens_per_vector
    if tokens_per_vector is None:
        return 0
    return num_tokens // tokens_per_vector * head.config.hidden_size * 4


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
