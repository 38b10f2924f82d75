"""Linear and embedding layers of which each rank holds one slice of the weights.

Pairs of a column-parallel and a row-parallel layer are those of Megatron-LM (https://arxiv.org/abs/1909.08053).
`shards` says which slice each parameter is, for reading and writing checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.parallel.group import ShardGroup, copy_to_shards, reduce_from_shards
from model.parallel.shard import Shard


class ColumnParallelLinear(nn.Module):
    """`y = x W^T + b` with the output features split over the ranks.

    Args:
        in_features: width of the input, which is replicated.
        out_features: full width of the output; a rank computes the part that `shards["weight"]` names.
        unit_size: number of features that are never separated (the size of an attention head).
    """

    def __init__(self, in_features: int, out_features: int, group: ShardGroup, *, unit_size: int = 1) -> None:
        super().__init__()
        shard = Shard.of(group, 0, out_features, unit_size)
        self.group = group
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(torch.empty(shard.size, in_features))
        self.bias = nn.Parameter(torch.empty(shard.size))
        self.shards = {"weight": shard, "bias": shard}

    @classmethod
    def from_linear(cls, linear: nn.Linear, group: ShardGroup) -> "ColumnParallelLinear":
        """Slice a whole layer; a group of one keeps the parameters themselves. A missing bias becomes zeros."""
        with torch.device("meta"):
            layer = cls(linear.in_features, linear.out_features, group)
        weight, bias = linear.get_parameter("weight"), dict(linear.named_parameters()).get("bias")
        if bias is None:
            bias = nn.Parameter(weight.detach().new_zeros(linear.out_features))
        layer.weight = layer.shards["weight"].parameter_of(weight, group)
        layer.bias = layer.shards["bias"].parameter_of(bias, group)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_features]` to `[..., local out_features]`."""
        return F.linear(copy_to_shards(x, self.group), self.weight, self.bias)


class RowParallelLinear(nn.Module):
    """`y = x W^T + b` with the input features split over the ranks; every rank gets the full output.

    The bias is replicated, and added once, after the reduction.
    """

    def __init__(self, in_features: int, out_features: int, group: ShardGroup, *, unit_size: int = 1) -> None:
        super().__init__()
        shard = Shard.of(group, 1, in_features, unit_size)
        self.group = group
        self.weight = nn.Parameter(torch.empty(out_features, shard.size))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.shards = {"weight": shard}

    def forward(self, x: Tensor) -> Tensor:
        """`[..., local in_features]` to `[..., out_features]`."""
        if self.group.size == 1:
            return F.linear(x, self.weight, self.bias)
        return reduce_from_shards(F.linear(x, self.weight), self.group) + self.bias


def embedding_table(num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> nn.Embedding:
    """A `torch.nn.Embedding` with uninitialized weights.

    The constructor of `torch.nn.Embedding` draws random weights. On the meta device, where models are built, that
    imports torch's compiler, which takes more than a second.
    """
    weight = torch.empty(num_embeddings, embedding_dim)
    return nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=padding_idx)


class VocabParallelEmbedding(nn.Module):
    """Embedding table with its rows split over the ranks; every rank gets the full embeddings.

    `padding_idx` gets no gradient, as in `torch.nn.Embedding`.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, group: ShardGroup, padding_idx: int | None = None
    ) -> None:
        super().__init__()
        self.group = group
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        shard = Shard.of(group, 0, num_embeddings)
        self.weight = nn.Parameter(torch.empty(shard.size, embedding_dim))
        self.shards = {"weight": shard}

    @classmethod
    def from_embedding(
        cls, embedding: nn.Embedding, group: ShardGroup, *, padding_idx: int | None
    ) -> "VocabParallelEmbedding":
        """Slice a whole table; a group of one keeps the parameter itself."""
        with torch.device("meta"):
            table = cls(embedding.num_embeddings, embedding.embedding_dim, group, padding_idx)
        table.weight = table.shards["weight"].parameter_of(embedding.get_parameter("weight"), group)
        return table

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids `[...]` to embeddings `[..., embedding_dim]`."""
        if self.group.size == 1:
            return F.embedding(input_ids, self.weight, self.padding_idx)
        shard = self.shards["weight"]
        # Look up all ids in a table without memory, which raises on all ranks alike for ids outside the
        # vocabulary: a rank that went on would wait for the others.
        F.embedding(input_ids, torch.zeros((1, 1), device=input_ids.device).expand(self.num_embeddings, 1))
        is_foreign = (input_ids < shard.start) | (input_ids >= shard.stop)
        local_ids = (input_ids - shard.start).masked_fill(is_foreign, 0)
        holds_padding = self.padding_idx is not None and shard.start <= self.padding_idx < shard.stop
        padding_idx = self.padding_idx - shard.start if holds_padding and self.padding_idx is not None else None
        embeddings = F.embedding(local_ids, self.weight, padding_idx)
        return reduce_from_shards(embeddings.masked_fill(is_foreign.unsqueeze(-1), 0.0), self.group)
