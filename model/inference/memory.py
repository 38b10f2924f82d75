"""Memory of a rank besides the weights, in bytes: upper bounds for a batch, and the measured peak."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from model.config import XLMRobertaXLConfig
from model.inference.amx_layer import AMX_SLICE_TOKENS, fits_amx
from model.inference.linear import CPU_SLICE_MULTIPLE, CPU_SLICE_TOKENS
from model.inference.quantization import Precision
from model.kernels.packed_attention import num_padded_lengths
from model.layers.layer_reads import LayerRead
from model.layers.loss import vocab_block_size

# glibc's heap holds more than the slices of a batch take, since blocks of many sizes lie between small ones that
# stay. Measured: up to 4 times the memory of the longest slice.
_HEAP_FACTOR = 4
# The same for temporaries outside the AMX workspace.
_AMX_HEAP_FACTOR = 2
# Measured: a kernel of oneDNN for a linear layer, and the two kernels for a length in attention.
_LINEAR_KERNEL_BYTES = 700_000
_NUM_LINEARS = 4
_ATTENTION_KERNELS_BYTES = 2_000_000
# oneDNN caches 1,024 kernels.
_MAX_KERNEL_BYTES = 1024 * _LINEAR_KERNEL_BYTES
# The input of a float8 product in fp32, and its codes.
_FLOAT8_BYTES = 5


@dataclass(frozen=True)
class BatchMemory:
    """Memory of the layers of a trunk for a batch.

    Attributes:
        temporary: bytes that are freed after the batch.
        kept: bytes that the trunk keeps between batches.
    """

    temporary: int
    kept: int = 0


def trunk_memory(
    config: XLMRobertaXLConfig,
    precision: Precision,
    *,
    num_ranks: int,
    num_tokens: int,
    device: str,
    generates: bool = False,
) -> BatchMemory:
    """A bound for the layers on a batch of this many tokens.

    Args:
        device: "cpu" or "cuda"; a CPU is taken to be like this one.
        generates: whether the trunk generates text, which passes the whole batch through the plain layers.
    """
    if generates or device == "cuda":
        temporary = _layer_bytes(config, num_ranks, num_tokens, precision.dtype.itemsize)
        if precision.quantization == "float8":
            temporary += _FLOAT8_BYTES * num_tokens * config.intermediate_size // num_ranks
        return BatchMemory(temporary)
    if fits_amx(config, precision.quantization, precision.dtype):
        return _amx_memory(config, num_ranks, num_tokens, precision)
    item_size = precision.dtype.itemsize
    states = num_tokens * config.hidden_size * item_size
    slice_tokens = _max_slice_tokens(config, num_tokens, CPU_SLICE_TOKENS)
    kernels = _kernel_bytes(config, slice_tokens) if precision.dtype == torch.bfloat16 else 0
    return BatchMemory(states + _HEAP_FACTOR * _layer_bytes(config, num_ranks, slice_tokens, item_size), kernels)


def _layer_bytes(config: XLMRobertaXLConfig, num_ranks: int, num_tokens: int, item_size: int) -> int:
    """The peak within a layer: the residual, its normalised copy, and this rank's part of the active block."""
    hidden = 2 * config.hidden_size
    attention = 5 * config.hidden_size // num_ranks + config.hidden_size
    feed_forward = 2 * config.intermediate_size // num_ranks + config.hidden_size
    return num_tokens * (hidden + max(attention, feed_forward)) * item_size


def _amx_memory(config: XLMRobertaXLConfig, num_ranks: int, num_tokens: int, precision: Precision) -> BatchMemory:
    """AMX layers keep their workspace (`model.kernels.amx.kernels.Workspace`).

    The states are temporary; on several ranks so are three copies of a slice, where embeddings are summed.
    """
    slice_tokens = _max_slice_tokens(config, num_tokens, AMX_SLICE_TOKENS)
    item_size = precision.dtype.itemsize
    attention_size = math.ceil(config.num_attention_heads / num_ranks) * config.head_size
    intermediate_size = math.ceil(config.intermediate_size / num_ranks)
    kept = (2 * config.hidden_size + 4 * attention_size + intermediate_size) * item_size
    if precision.quantization == "int8":
        kept += max(config.hidden_size, intermediate_size)
    num_embedded = 3 * slice_tokens if num_ranks > 1 else 0
    states = (num_tokens + num_embedded) * config.hidden_size * item_size
    return BatchMemory(_AMX_HEAP_FACTOR * states, slice_tokens * kept)


def _max_slice_tokens(config: XLMRobertaXLConfig, num_tokens: int, slice_tokens: int) -> int:
    """Tokens of the longest possible slice."""
    return min(num_tokens, slice_tokens + config.max_num_tokens)


def _kernel_bytes(config: XLMRobertaXLConfig, slice_tokens: int) -> int:
    """Memory of oneDNN's cached kernels for a trunk: for each slice size, and for each length in attention."""
    num_slice_sizes = math.ceil(slice_tokens / CPU_SLICE_MULTIPLE)
    of_attention = _ATTENTION_KERNELS_BYTES * num_padded_lengths(config.max_num_tokens)
    return min(_LINEAR_KERNEL_BYTES * _NUM_LINEARS * num_slice_sizes + of_attention, _MAX_KERNEL_BYTES)


def reading_bytes(
    config: XLMRobertaXLConfig, reads: Collection[LayerRead], *, num_tokens: int, device: str
) -> int:
    """What is read of layers while they pass: the rows in fp32, and copies of the states of one layer.

    A mix takes as much as a layer, however many layers it mixes.
    """
    if not reads:
        return 0
    # A sequence has at least two tokens.
    num_rows = sum(num_tokens if read.pooling == "token" else num_tokens // 2 for read in reads)
    num_passing = num_tokens if device == "cuda" else _max_slice_tokens(config, num_tokens, AMX_SLICE_TOKENS)
    return (num_rows + 2 * num_passing) * config.hidden_size * 4


def cache_bytes(
    config: XLMRobertaXLConfig,
    *,
    num_ranks: int,
    num_tokens: int,
    max_new_tokens: int,
    num_beams: int,
    item_size: int,
) -> int:
    """Keys and values of all layers for prompts of the model's maximum length and their continuations.

    Shorter prompts are more per batch and need more than this.
    """
    num_prompts = max(1, num_tokens // config.max_num_tokens)
    num_cached = (num_tokens + num_prompts * max_new_tokens) * num_beams
    return num_cached * 2 * config.num_hidden_layers * config.hidden_size // num_ranks * item_size


def loss_bytes(config: XLMRobertaXLConfig, num_labelled: int, device: str) -> int:
    """Projecting labelled tokens: their states and one block of the vocabulary, weights and logits, in fp32.

    With AMX (`model.kernels.amx.vocabulary`) it is less: a copy of the states, and two numbers for each chunk.
    """
    block_size = vocab_block_size(num_labelled, device)
    return (num_labelled * (3 * config.hidden_size + 2 * block_size) + 2 * block_size * config.hidden_size) * 4


def peak_memory(device: str) -> int:
    """Peak memory of this process in bytes: allocated on the GPU, or resident (mapped files included)."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def reset_peak_memory(device: str) -> None:
    """Restart the measurement of `peak_memory`, to exclude earlier steps such as loading."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
