"""Attention, two ways: packed sequences without weights (fast), and padded with every option (eager).

Shape suffixes: T packed tokens, B batch, S query length, R key length, N heads of this rank, K head size,
D hidden size (A: this rank's heads times head size).
"""

import math
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import XLMRobertaXLConfig
from model.kernels.attention_cpu_rows import attention_in_rows
from model.kernels.attention_gpu import half_precision_on_gpu
from model.kernels.hardware import FAST_PATH_CALLS, exact_bf16_products, has_amx, has_onednn_bf16
from model.kernels.not_finite import keep_not_finite_
from model.kernels.precision import wide_dtype
from model.layers.dropout import DropoutSeed, dropout_heads
from model.packing import PackedBatch
from model.parallel.group import ShardGroup, copy_to_shards, gather_from_shards
from model.parallel.layers import ColumnParallelLinear, embedding_table

KeyValue = tuple[Tensor, Tensor]

# Where two products beat scaled dot product attention on a CPU in bf16 without AMX (measured with heads of 80).
MIN_PRODUCT_LENGTH = 32
SCORE_BYTES = 2**21


class SelfAttention(nn.Module):
    """Multi-head attention over this rank's heads; the output projection follows in the layer.

    The same module serves as cross-attention: then keys and values come from `encoder_hidden_states`.
    Relative positions: Shaw et al. 2018 (https://arxiv.org/abs/1803.02155) for "relative_key", Huang et al.
    2020, method 4 (https://arxiv.org/abs/2009.13658) for "relative_key_query".

    Args:
        heads: numbers of the heads that are there; others were pruned.
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
        """Numbers of this rank's heads."""
        start, stop = self.group.bounds(len(self.heads))
        return self.heads[start:stop]

    def forward_packed(self, hidden_TD: Tensor, batch: PackedBatch) -> Tensor:
        """Attention of every sequence to itself; returns `[T, A]`."""
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
            head_mask: factor of each head of the configuration, `[num_attention_heads]`.
            encoder_hidden_BRD: what cross-attention attends to; ignored where `past` holds its projections.
            past: cached keys and values `[B, N, R, K]`, to which self-attention appends.
            seed: of dropout; None for none.

        Returns:
            context `[B, S, A]`, attention weights of this rank's heads `[B, N, S, R]`, keys and values.
        """
        q_BNSK = self._split_heads(self.query(hidden_BSD))
        if encoder_hidden_BRD is not None and past is not None:
            k_BNRK, v_BNRK = past
        else:
            source = hidden_BSD if encoder_hidden_BRD is None else encoder_hidden_BRD
            k_BNRK, v_BNRK = (
                self._split_heads(self.key(source)),
                self._split_heads(self.value(source)),
            )
            if past is not None:
                k_BNRK = torch.cat([past[0], k_BNRK], dim=2)
                v_BNRK = torch.cat([past[1], v_BNRK], dim=2)
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
        # With a cache, the queries are the last of the keys.
        query_positions = torch.arange(num_keys - num_queries, num_keys, device=q_BNSK.device)
        key_positions = torch.arange(num_keys, device=q_BNSK.device)
        distances_SR = query_positions[:, None] - key_positions[None, :] + self.max_position_embeddings - 1
        # Every rank sees the gradient of its own heads only.
        table = copy_to_shards(self.distance_embedding.weight, self.group)
        distance_SRK = F.embedding(distances_SR, table)
        scores_BNSR = torch.einsum("bnsk,srk->bnsr", q_BNSK, distance_SRK)
        if self.position_embedding_type == "relative_key_query":
            scores_BNSR = scores_BNSR + torch.einsum("bnrk,srk->bnsr", k_BNRK, distance_SRK)
        return scores_BNSR


def packed_attention(
    q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, batch: PackedBatch, *, is_causal: bool = False
) -> Tensor:
    """Softmax attention of each packed sequence to itself, `[T, N, K]`.

    On CUDA in half precision it is `half_precision_on_gpu`. On a CPU in bf16, without gradient, it is
    `attention_in_rows` with AMX, and `attention_of_products` without it from `MIN_PRODUCT_LENGTH` tokens on.
    Elsewhere neighbours of equal length share a call of scaled dot product attention.
    """
    if q_TNK.is_cuda and q_TNK.dtype in (torch.bfloat16, torch.float16):
        return half_precision_on_gpu(q_TNK, k_TNK, v_TNK, batch, is_causal=is_causal)
    is_fast = not is_causal and not torch.is_grad_enabled() and has_onednn_bf16(q_TNK)
    if is_fast and has_amx():
        return keep_not_finite_(attention_in_rows(q_TNK, k_TNK, v_TNK, batch.lengths), q_TNK, k_TNK)
    runs = [(length, len(list(run))) for length, run in groupby(batch.lengths)]
    sizes = [length * count for length, count in runs]
    outputs = []
    for (length, count), q, k, v in zip(
        runs, q_TNK.split(sizes), k_TNK.split(sizes), v_TNK.split(sizes), strict=True
    ):
        q_BNSK, k_BNSK, v_BNSK = (x.unflatten(0, (count, length)).transpose(1, 2) for x in (q, k, v))
        if is_fast and length >= MIN_PRODUCT_LENGTH:
            outputs += [attention_of_products(*qkv) for qkv in zip(q_BNSK, k_BNSK, v_BNSK, strict=True)]
        else:
            context = F.scaled_dot_product_attention(q_BNSK, k_BNSK, v_BNSK, is_causal=is_causal)
            outputs.append(context.transpose(1, 2).flatten(0, 1))
    return keep_not_finite_(torch.cat(outputs), q_TNK, k_TNK)


def attention_of_products(q_NSK: Tensor, k_NSK: Tensor, v_NSK: Tensor) -> Tensor:
    """Attention of one bf16 sequence by two batched products, `[S, N, K]`; scores and softmax in fp32.

    Takes as many heads at a time as have `SCORE_BYTES` of scores, which stay in cache. The length is filled up to
    a multiple of 16 or 32: oneDNN compiles kernels for every shape (2 MB and 2 ms for these two products).
    """
    FAST_PATH_CALLS["attention of products"] += 1
    num_heads, length, head_size = q_NSK.shape
    size = _filled_length(length)
    most = max(1, SCORE_BYTES // (4 * size * size))
    step = next(n for n in range(min(most, num_heads), 0, -1) if num_heads % n == 0)
    q_NRK, k_NRK = (_filled_up(x, size, torch.float32) for x in (q_NSK, k_NSK))
    v_NRK = _filled_up(v_NSK, size, v_NSK.dtype)
    context_SNK = torch.empty(length, num_heads, head_size, dtype=v_NSK.dtype)
    for begin in range(0, num_heads, step):
        heads = slice(begin, begin + step)
        with exact_bf16_products():
            scores_NRR = torch.bmm(q_NRK[heads], k_NRK[heads].transpose(1, 2))
        scores_NRR.mul_(1 / math.sqrt(head_size))[:, :, length:] = -torch.inf
        probs_NRR = F.softmax(scores_NRR, dim=-1).to(v_NRK.dtype)
        context_SNK[:, heads] = torch.bmm(probs_NRR, v_NRK[heads])[:, :length].transpose(0, 1)
    return context_SNK


def _filled_length(length: int) -> int:
    multiple = 16 if length < 128 else 32
    return length + -length % multiple


def num_filled_lengths(max_length: int) -> int:
    """To how many different lengths sequences are filled up, if they are `attention_of_products`."""
    return len({_filled_length(length) for length in range(MIN_PRODUCT_LENGTH, max_length + 1)})


def _filled_up(x_NSK: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Zeros behind the sequence, up to a length."""
    filled = torch.empty(x_NSK.shape[0], size, x_NSK.shape[2], dtype=dtype)
    filled[:, : x_NSK.shape[1]] = x_NSK
    filled[:, x_NSK.shape[1] :] = 0
    return filled
