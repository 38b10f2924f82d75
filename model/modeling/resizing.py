"""Resize an existing model: vocabulary rows and attention heads.

Under tensor parallelism a tensor is gathered, changed and sliced again, so that the ranks stay balanced.
"""

import torch
from torch import Tensor, nn

from model.layers.encoder import Attention
from model.layers.heads import LMHead
from model.parallel.group import ShardGroup
from model.parallel.layers import ColumnParallelLinear, RowParallelLinear, VocabParallelEmbedding
from model.parallel.shard import Shard

_Parallel = ColumnParallelLinear | RowParallelLinear | VocabParallelEmbedding


def resize_embedding(embedding: VocabParallelEmbedding, num_rows: int, *, std: float) -> None:
    """Keep the first rows, or append rows from a normal distribution with mean 0."""
    _replace(embedding, "weight", _with_rows(_full(embedding, "weight"), num_rows, std, embedding.group))
    embedding.num_embeddings = num_rows


def resize_lm_head(head: LMHead, num_rows: int, *, std: float, tied: VocabParallelEmbedding | None) -> None:
    """Resize the projection onto the vocabulary, after the embeddings if `tied`; new biases are 0."""
    decoder = head.decoder
    if tied is None:
        _replace(decoder, "weight", _with_rows(_full(decoder, "weight"), num_rows, std, head.group))
    else:
        decoder.weight = tied.weight
        decoder.shards["weight"] = tied.shards["weight"]
    _replace(decoder, "bias", _with_rows(_full(decoder, "bias"), num_rows, 0.0, head.group))
    decoder.out_features = num_rows
    head.bias = decoder.bias


def prune_attention(attention: Attention, kept_heads: list[int]) -> None:
    """Remove the heads that are not in `kept_heads` (indices in the unpruned model) from all projections."""
    module = attention.self
    if kept_heads == module.heads:
        return
    first_rows = torch.tensor([module.heads.index(head) for head in kept_heads]) * module.head_size
    rows = (first_rows[:, None] + torch.arange(module.head_size)).flatten()
    for projection in (module.query, module.key, module.value):
        for name in ("weight", "bias"):
            full = _full(projection, name)
            _replace(projection, name, full.index_select(0, rows.to(full.device)))
        projection.out_features = len(rows)
    full = _full(attention.output.dense, "weight")
    _replace(attention.output.dense, "weight", full.index_select(1, rows.to(full.device)))
    module.heads = kept_heads


def _full(module: _Parallel, name: str) -> Tensor:
    return module.shards[name].gather(module.get_parameter(name), module.group)


def _replace(module: _Parallel, name: str, full: Tensor) -> None:
    """Replace a parameter by this rank's slice of a full tensor."""
    before, old = module.shards[name], module.get_parameter(name)
    shard = Shard.of(module.group, before.dim, full.shape[before.dim], before.unit_size)
    module.shards[name] = shard
    setattr(module, name, nn.Parameter(shard.cut(full).clone(), requires_grad=old.requires_grad))


def _with_rows(full: Tensor, num_rows: int, std: float, group: ShardGroup) -> Tensor:
    num_new = num_rows - len(full)
    if num_new <= 0:
        return full[:num_rows]
    new = torch.zeros(num_new, *full.shape[1:])
    if std:
        new.normal_(std=std, generator=torch.Generator().manual_seed(group.common_seed()))
    return torch.cat([full, new.to(full)])
