"""Linear and embedding layers that hold one rank's slice of their weights, and know which slice it is.

The pair of a column-parallel and a row-parallel layer is Megatron-LM's
(https://arxiv.org/abs/1909.08053); `shards` tells a checkpoint reader what to read.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.parallel import ShardGroup, copy_to_shards, gather_from_shards, reduce_from_shards


@dataclass(frozen=True)
class Shard:
    """Which part of a full tensor a parameter is: rows [start, stop) of `full_size` along `dim`."""

    dim: int
    start: int
    stop: int
    full_size: int


class ColumnParallelLinear(nn.Module):
    """`y = x W^T + b` with the output features split over the ranks.

    Args:
        in_features: width of the input, which every rank holds whole.
        out_features: full width of the output; a rank computes the part that `shards["weight"]` names.
        unit_size: features that stay together (the width of an attention head).
        gather_output: give every rank the full output.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        group: ShardGroup,
        *,
        unit_size: int = 1,
        gather_output: bool = False,
    ) -> None:
        super().__init__()
        start, stop = (unit_size * bound for bound in group.bounds(out_features // unit_size))
        self.group = group
        self.out_features = out_features
        self.gather_output = gather_output
        self.weight = nn.Parameter(torch.empty(stop - start, in_features))
        self.bias = nn.Parameter(torch.empty(stop - start))
        shard = Shard(0, start, stop, out_features)
        self.shards = {"weight": shard, "bias": shard}

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_features]` to `[..., local out_features]`, or all of them with `gather_output`."""
        y = F.linear(copy_to_shards(x, self.group), self.weight, self.bias)
        if self.gather_output:
            y = gather_from_shards(y, self.group, dim=-1, full_size=self.out_features)
        return y


class RowParallelLinear(nn.Module):
    """`y = x W^T + b` with the input features split over the ranks; every rank gets the full output.

    The bias is held whole by every rank and added once, after the reduction.
    """

    def __init__(self, in_features: int, out_features: int, group: ShardGroup, *, unit_size: int = 1) -> None:
        super().__init__()
        start, stop = (unit_size * bound for bound in group.bounds(in_features // unit_size))
        self.group = group
        self.weight = nn.Parameter(torch.empty(out_features, stop - start))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.shards = {"weight": Shard(1, start, stop, in_features)}

    def forward(self, x: Tensor) -> Tensor:
        """`[..., local in_features]` to `[..., out_features]`."""
        if self.group.size == 1:
            return F.linear(x, self.weight, self.bias)
        return reduce_from_shards(F.linear(x, self.weight), self.group) + self.bias


class VocabParallelEmbedding(nn.Module):
    """Embedding table with its rows split over the ranks; every rank gets the full embeddings.

    `padding_idx` gets no gradient, as in `torch.nn.Embedding`.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        group: ShardGroup,
        padding_idx: int | None = None,
    ) -> None:
        super().__init__()
        self.group = group
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        start, stop = group.bounds(num_embeddings)
        self.weight = nn.Parameter(torch.empty(stop - start, embedding_dim))
        self.shards = {"weight": Shard(0, start, stop, num_embeddings)}

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids `[...]` to embeddings `[..., embedding_dim]`."""
        if self.group.size == 1:
            return F.embedding(input_ids, self.weight, self.padding_idx)
        shard = self.shards["weight"]
        is_foreign = (input_ids < shard.start) | (input_ids >= shard.stop)
        local_ids = (input_ids - shard.start).masked_fill(is_foreign, 0)
        holds_padding = self.padding_idx is not None and shard.start <= self.padding_idx < shard.stop
        padding_idx = self.padding_idx - shard.start if holds_padding and self.padding_idx is not None else None
        embeddings = F.embedding(local_ids, self.weight, padding_idx)
        return reduce_from_shards(embeddings.masked_fill(is_foreign.unsqueeze(-1), 0.0), self.group)
