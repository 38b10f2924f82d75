"""What a rank needs: bytes of its weights, and a bound on what a batch takes beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch.distributed as dist
from torch import nn

from model import ShardGroup, XLMRobertaXLModel
from model.inference.memory import cache_bytes, loss_bytes, trunk_memory
from model.inference.quantization import Precision
from pipeline.heads.modules import build_head, build_trunk
from pipeline.heads.resolve import Head, read_config
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
    layers = kept = 0
    for trunk in dict.fromkeys(head.trunk for head in heads):
        on_trunk = [head for head in heads if head.trunk == trunk]
        temporary, kept_here = _trunk_bytes(trunk, on_trunk, size, token_budget, precision, device)
        layers, kept = max(layers, temporary), kept + kept_here
    projected = max((_loss_bytes(head, token_budget, device) for head in heads), default=0)
    if device == "cuda":
        # What a layer took is there again for a head.
        item_size = precision.dtype.itemsize
        states = max((token_budget * head.config.hidden_size * item_size for head in heads), default=0)
        leaving = sum(_vector_bytes(head, token_budget) for head in heads)
        return max(layers, states + projected) + leaving
    return layers + projected + kept


def _trunk_bytes(
    trunk: str, heads: Sequence[Head], size: int, token_budget: int, precision: Precision, device: str
) -> tuple[int, int]:
    """What a trunk takes while it computes a batch, and what it keeps."""
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


def _loss_bytes(head: Head, token_budget: int, device: str) -> int:
    """What a head takes that projects onto the vocabulary; 0 for others."""
    share = _memory_of(head).vocabulary_share
    return loss_bytes(head.config, math.ceil(token_budget * share), device) if share else 0


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


def _vector_bytes(head: Head, num_tokens: int) -> int:
    """Of the batch before, what is there until it has left the GPU, while this one is launched. What other heads
    give is little."""
    tokens_per_vector = _memory_of(head).tokens_per_vector
    if tokens_per_vector is None:
        return 0
    return num_tokens // tokens_per_vector * head.config.hidden_size * 4
