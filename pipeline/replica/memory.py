"""Estimate the memory of a rank: its weights, and a bound on the activations of a batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from model import ShardGroup, XLMRobertaXLModel
from model.inference.memory import cache_bytes, loss_bytes, reading_bytes, trunk_memory
from model.inference.quantization import Precision
from pipeline.heads.modules import build_head, build_trunk, head_dtypes
from pipeline.heads.resolve import Head, read_config
from pipeline.tasks.contract import HeadMemory


@dataclass(frozen=True)
class RankMemory:
    """Bytes of one rank, without the Python process itself (some 0.6 GB with torch and Ray).

    `loading` is the peak while weights are loaded, before the last trunk is quantized.
    """

    weights: int
    activations: int
    loading: int


def rank_memory(
    heads: Sequence[Head], *, tensor_parallel_size: int, token_budget: int, dtype: str, device: str = "cpu"
) -> RankMemory:
    """The memory of the rank that needs most; `dtype` is a resolved `model.dtype`."""
    precision = Precision.named(dtype)
    weights, loading = _weight_bytes(heads, tensor_parallel_size, precision)
    activations = _activation_bytes(heads, tensor_parallel_size, token_budget, precision, device)
    return RankMemory(weights, activations, loading)


def _weight_bytes(heads: Sequence[Head], size: int, precision: Precision) -> tuple[int, int]:
    """The weights, and their peak while loading: each trunk is quantized before the next one is loaded."""
    trunks = _trunks_of_last_rank(heads, size)
    modules: list[tuple[nn.Module, torch.dtype]] = [(trunk, precision.dtype) for trunk in trunks.values()]
    for head in heads:
        built = build_head(head, trunks[head.trunk])
        modules += ((built[name], dtype) for name, dtype in head_dtypes(head, precision.dtype).items())
    # Tied weights are one parameter.
    num_bytes = {id(p): p.numel() * dtype.itemsize for module, dtype in modules for p in module.parameters()}
    item_size = precision.dtype.itemsize
    whole = sum(num_bytes.values())
    if precision.quantization is None:
        return whole, whole
    # One byte for each weight of a matrix is left; scales are few.
    saved = [
        (item_size - 1) * sum(p.numel() for p in trunk.encoder.layer.parameters() if p.dim() == 2)
        for trunk in trunks.values()
    ]
    weights = whole - sum(saved)
    return weights, weights + max(saved)


def _activation_bytes(
    heads: Sequence[Head], size: int, token_budget: int, precision: Precision, device: str
) -> int:
    layers = kept = read = 0
    for trunk in dict.fromkeys(head.trunk for head in heads):
        on_trunk = [head for head in heads if head.trunk == trunk]
        temporary, kept_here = _trunk_bytes(trunk, on_trunk, size, token_budget, precision, device)
        layers, kept = max(layers, temporary), kept + kept_here
        read = max(read, _reading_bytes(trunk, on_trunk, token_budget, device))
    projected = max((_loss_bytes(head, token_budget, device) for head in heads), default=0)
    if device == "cuda":
        # Heads reuse the memory of the layers.
        item_size = precision.dtype.itemsize
        states = max((token_budget * head.config.hidden_size * item_size for head in heads), default=0)
        leaving = sum(_vector_bytes(head, token_budget) for head in heads)
        return max(layers, states + projected) + read + leaving
    return layers + projected + kept + read


def _trunk_bytes(
    trunk: str, heads: Sequence[Head], size: int, token_budget: int, precision: Precision, device: str
) -> tuple[int, int]:
    """The temporary memory of a trunk while it computes a batch, and what it keeps."""
    config = read_config(trunk, "trunk")
    generating = [_memory_of(head) for head in heads if head.task.generates]
    layers = trunk_memory(
        config, precision, num_ranks=size, num_tokens=token_budget, device=device, generates=bool(generating)
    )
    caches = [
        cache_bytes(
            config,
            num_ranks=size,
            num_tokens=token_budget,
            max_new_tokens=memory.max_new_tokens,
            num_beams=memory.num_beams,
            item_size=precision.dtype.itemsize,
        )
        for memory in generating
    ]
    return layers.temporary + max(caches, default=0), layers.kept


def _reading_bytes(trunk: str, heads: Sequence[Head], token_budget: int, device: str) -> int:
    """What the heads of a trunk read of its layers, in a batch that all of them read."""
    reads = [read for head in heads for read in head.task.reads(head.options, head.config).values()]
    return reading_bytes(read_config(trunk, "trunk"), reads, num_tokens=token_budget, device=device)


def _loss_bytes(head: Head, token_budget: int, device: str) -> int:
    """The memory of a head that projects onto the vocabulary; 0 for others."""
    share = _memory_of(head).vocabulary_share
    return loss_bytes(head.config, math.ceil(token_budget * share), device) if share else 0


def _memory_of(head: Head) -> HeadMemory:
    return head.task.memory(head.options)


def _trunks_of_last_rank(heads: Sequence[Head], size: int) -> dict[str, XLMRobertaXLModel]:
    """By directory, on the meta device. If slices cannot be equal, the last rank has the largest."""
    group = ShardGroup()
    if size > 1:
        # Never used to communicate.
        group = ShardGroup(size - 1, size, dist.ProcessGroup(dist.HashStore(), size - 1, size))
    return {path: build_trunk(path, group) for path in dict.fromkeys(head.trunk for head in heads)}


def _vector_bytes(head: Head, num_tokens: int) -> int:
    """Vectors of the previous batch, which stay on the GPU until they are copied; other results are small."""
    tokens_per_vector = _memory_of(head).tokens_per_vector
    num_layers = max(1, len(head.task.reads(head.options, head.config)))
    if tokens_per_vector is None:
        return 0
    return num_layers * (num_tokens // tokens_per_vector) * head.config.hidden_size * 4
