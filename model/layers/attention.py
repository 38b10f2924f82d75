"""Multi-head attention: packed sequences without attention weights (fast), or padded with every option (eager).

Shape suffixes: T packed tokens, B batch, S query length, R key length, N heads of this rank, K head size,
D hidden size (A: this rank's heads times head size).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import XLMRobertaXLConfig
from model.kernels.packed_attention import packed_attention
from model.kernels.precision import wide_dtype
from model.layers.dropout import DropoutSeed, dropout_heads
from model.packing import PackedBatch
from model.parallel.group import ShardGroup, copy_to_shards, gather_from_shards
from model.parallel.layers import ColumnParallelLinear, embedding_table

KeyValue = tuple[Tensor, Tensor]


class SelfAttention(nn.Module):
    """Multi-head attention over this rank's heads, without the output projection.

    Also used as cross-attention, with keys and values from `encoder_hidden_states`.
    Relative positions: Shaw et al. 2018 (https://arxiv.org/abs/1803.02155) for "relative_key", Huang et al.
    2020, method 4 (https://arxiv.org/abs/2009.13658) for "relative_key_query".

    Args:
        heads: indices of the heads that were not pruned.
    """

    def __init__(
        self, config: XLMRobertaXLConfig, group: ShardGroup, position_embedding_type: str, heads: list[int]
    ) -> None:
        super().__init__()
        hidden_size, attention_size = config.hidden_size, len(heads) * config.head_size
        self.group = group
        self.head_size = config.head_size
        self.heads = heads
        self.query = ColumnParallelLinear(hidden_size, attention_size, group, unit_size=self.head_size)
        self.key = ColumnParallelLinear(hidden_size, attention_size, group, unit_size=self.head_size)
        self.value = ColumnParallelLinear(hidden_size, attention_size, group, unit_size=self.head_size)
        self.dropout_prob = config.attention_probs_dropout_prob
        self.is_decoder = config.is_decoder
        self.position_embedding_type = position_embedding_type
        self.max_position_embeddings = config.max_position_embeddings
        if position_embedding_type != "absolute":
            self.distance_embedding = embedding_table(2 * config.max_position_embeddings - 1, self.head_size)

    @property
    def local_heads(self) -> list[int]:
        """Indices of this rank's heads."""
        start, stop = self.group.bounds(len(self.heads))
        return self.heads[start:stop]

    def forward_packed(self, hidden_TD: Tensor, batch: PackedBatch) -> Tensor:
        """Attention within each packed sequence, `[T, A]`."""
        q_TNK, k_TNK, v_TNK = (
            projection(hidden_TD).unflatten(-1, (-1, self.head_size))
            for projection in (self.query, self.key, self.value)
        )
        return packed_attention(q_TNK, k_TNK, v_TNK, batch, is_causal=self.is_decoder).flatten(-2)

    def forward(
        self,
        hidden_BSD: Tensor,
        mask_B1SR: Tensor | None = None,
        head_mask: Tensor | None = None,
        encoder_hidden_BRD: Tensor | None = None,
        past: KeyValue | None = None,
        seed: DropoutSeed | None = None,
    ) -> tuple[Tensor, Tensor, KeyValue]:
        """Attention with weights.

        Args:
            mask_B1SR: added to the scores.
            head_mask: `[num_attention_heads]`, a factor per head of the configuration.
            encoder_hidden_BRD: the states that cross-attention attends to; ignored with `past`, which holds their
                projections.
            past: cached keys and values `[B, N, R, K]`, to which self-attention appends.
            seed: seed of dropout; None for no dropout.

        Returns:
            context `[B, S, A]`, attention weights of this rank's heads `[B, N, S, R]`, keys and values.
        """
        q_BNSK = self._split_heads(self.query(hidden_BSD))
        k_BNRK, v_BNRK = self._keys_and_values(hidden_BSD, encoder_hidden_BRD, past)
        scores_BNSR = q_BNSK @ k_BNRK.transpose(-1, -2)
        if self.position_embedding_type != "absolute":
            scores_BNSR = scores_BNSR + self._relative_scores(q_BNSK, k_BNRK)
        scores_BNSR = scores_BNSR / math.sqrt(self.head_size)
        if mask_B1SR is not None:
            scores_BNSR = scores_BNSR + mask_B1SR
        probs_BNSR = F.softmax(scores_BNSR, dim=-1, dtype=wide_dtype(scores_BNSR.dtype)).to(q_BNSK.dtype)
        probs_BNSR = dropout_heads(probs_BNSR, self.dropout_prob, seed, self.local_heads)
        if head_mask is not None:
            probs_BNSR = probs_BNSR * head_mask[self.local_heads].view(1, -1, 1, 1)
        context_BSA = (probs_BNSR @ v_BNRK).transpose(1, 2).flatten(-2)
        return context_BSA, probs_BNSR, (k_BNRK, v_BNRK)

    def _keys_and_values(
        self, hidden_BSD: Tensor, encoder_hidden_BRD: Tensor | None, past: KeyValue | None
    ) -> KeyValue:
        if encoder_hidden_BRD is not None and past is not None:
            return past
        source = hidden_BSD if encoder_hidden_BRD is None else encoder_hidden_BRD
        key_value = self._split_heads(self.key(source)), self._split_heads(self.value(source))
        if past is None:
            return key_value
        return torch.cat([past[0], key_value[0]], dim=2), torch.cat([past[1], key_value[1]], dim=2)

    def all_heads(self, probs_BNSR: Tensor) -> Tensor:
        """Attention weights of the heads of all ranks."""
        return gather_from_shards(probs_BNSR, self.group, dim=1, full_size=len(self.heads))

    def _split_heads(self, x_BSA: Tensor) -> Tensor:
        return x_BSA.unflatten(-1, (-1, self.head_size)).transpose(1, 2)

    def _relative_scores(self, q_BNSK: Tensor, k_BNRK: Tensor) -> Tensor:
        num_queries, num_keys = q_BNSK.shape[2], k_BNRK.shape[2]
        if num_keys > self.max_position_embeddings:
            raise ValueError(
                f"relative positions reach over at most {self.max_position_embeddings} tokens "
                f"(config.max_position_embeddings), found {num_keys}"
            )
        # With a cache, the queries belong to the last keys.
        query_positions = torch.arange(num_keys - num_queries, num_keys, device=q_BNSK.device)
        key_positions = torch.arange(num_keys, device=q_BNSK.device)
        distances_SR = query_positions[:, None] - key_positions[None, :] + self.max_position_embeddings - 1
        # The table is replicated, but each rank computes the gradient of its own heads only.
        table = copy_to_shards(self.distance_embedding.weight, self.group)
        distance_SRK = F.embedding(distances_SR, table)
        scores_BNSR = torch.einsum("bnsk,srk->bnsr", q_BNSK, distance_SRK)
        if self.position_embedding_type == "relative_key_query":
            scores_BNSR = scores_BNSR + torch.einsum("bnrk,srk->bnsr", k_BNRK, distance_SRK)
        return scores_BNSR
