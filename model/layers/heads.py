"""Heads of the tasks, and pooling. Shape suffixes: N positions or sequences, D hidden, V vocabulary, L labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import XLMRobertaXLConfig
from model.kernels.linear_fp32 import linear_fp32
from model.kernels.precision import widened
from model.layers.dropout import DropoutSeed, dropout
from model.layers.loss import vocab_parallel_nll
from model.packing import PackedBatch
from model.parallel.group import ShardGroup, copy_to_shards, gather_from_shards
from model.parallel.layers import ColumnParallelLinear, VocabParallelEmbedding


class LMHead(nn.Module):
    """Dense, GELU, LayerNorm, and a projection onto the vocabulary that is split over the ranks.

    Args:
        embedding: the word embeddings, if the projection shares their weights.
    """

    def __init__(
        self, config: XLMRobertaXLConfig, group: ShardGroup, embedding: VocabParallelEmbedding | None = None
    ) -> None:
        super().__init__()
        self.group = group
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = ColumnParallelLinear(config.hidden_size, config.vocab_size, group)
        if embedding is not None:
            self.decoder.weight = embedding.weight
        # Checkpoints have the bias under either name or both.
        self.bias = self.decoder.bias

    def transform(self, hidden: Tensor) -> Tensor:
        """The input of the projection, `[..., D]`."""
        return self.layer_norm(F.gelu(self.dense(hidden)))

    def local_logits(self, hidden: Tensor) -> Tensor:
        """This rank's columns of the logits, fp32 `[..., V of this rank]` (float64 for a float64 model)."""
        x = copy_to_shards(self.transform(hidden), self.group)
        return linear_fp32(x, self.decoder.weight, self.decoder.bias)

    def full_logits(self, local_logits: Tensor) -> Tensor:
        """The columns of all ranks, `[..., V]`."""
        return gather_from_shards(local_logits, self.group, dim=-1, full_size=self.decoder.out_features)

    def nll(self, hidden_ND: Tensor, labels_N: Tensor) -> Tensor:
        """Negative log likelihood of each label in nats, fp32 `[N]`, without gradient and without full logits."""
        return vocab_parallel_nll(
            self.transform(hidden_ND),
            self.decoder.weight,
            self.decoder.bias,
            labels_N,
            self.group,
            self.decoder.shards["weight"],
        )


class ClassificationHead(nn.Module):
    """Dropout, dense, tanh, dropout, projection onto the labels; on the state of `<s>`."""

    def __init__(self, config: XLMRobertaXLConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout_prob = config.head_dropout_prob
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, first_token_ND: Tensor, seed: DropoutSeed | None = None) -> Tensor:
        """`[N, D]` to fp32 logits `[N, L]`; without a seed nothing is dropped."""
        x = dropout(first_token_ND, self.dropout_prob, seed and seed.child("dense"))
        x = dropout(torch.tanh(self.dense(x)), self.dropout_prob, seed and seed.child("out_proj"))
        return linear_fp32(x, self.out_proj.weight, self.out_proj.bias)


class LabelHead(nn.Linear):
    """One linear layer onto the labels, with fp32 logits."""

    def __init__(self, config: XLMRobertaXLConfig, num_labels: int | None = None) -> None:
        super().__init__(config.hidden_size, config.num_labels if num_labels is None else num_labels)

    def forward(self, hidden: Tensor) -> Tensor:
        """`[..., D]` to fp32 `[..., L]`."""
        return linear_fp32(hidden, self.weight, self.bias)


def pool_mean(hidden_TD: Tensor, batch: PackedBatch, sequences_N: Tensor) -> Tensor:
    """Mean over all tokens (`<s>` and `</s>` included) of the chosen sequences, fp32 `[N, D]`."""
    if hidden_TD.is_cuda:
        return _pool_in_one_call(hidden_TD, batch, sequences_N, "mean")
    chunks = hidden_TD.split(list(batch.lengths))
    return torch.stack([widened(chunks[i]).mean(dim=0) for i in sequences_N.tolist()])


def pool_max(hidden_TD: Tensor, batch: PackedBatch, sequences_N: Tensor) -> Tensor:
    """Maximum over all tokens of the chosen sequences, fp32 `[N, D]`."""
    if hidden_TD.is_cuda:
        return _pool_in_one_call(hidden_TD, batch, sequences_N, "max")
    chunks = hidden_TD.split(list(batch.lengths))
    return torch.stack([widened(chunks[i].amax(dim=0)) for i in sequences_N.tolist()])


def _pool_in_one_call(hidden_TD: Tensor, batch: PackedBatch, sequences_N: Tensor, reduction: str) -> Tensor:
    """Pool all sequences in one call, for GPUs, which would wait for one call per sequence."""
    # Checking the offsets would synchronize the device; those of a batch are right.
    pooled_ND = torch.segment_reduce(widened(hidden_TD), reduction, offsets=batch.cu_seqlens, axis=0, unsafe=True)
    return pooled_ND.index_select(0, sequences_N)
