"""Top-k tokens of a vocabulary that is split over the ranks, without an `[N, V]` tensor of logits.

Shape suffixes: N positions, D hidden, V this rank's vocabulary rows, K tokens asked for.
"""

import torch
from torch import Tensor

from model.kernels.linear_fp32 import linear_fp32
from model.layers.loss import OnlineSoftmax, reduce_sums_, vocab_block_size
from model.parallel.group import ShardGroup
from model.parallel.shard import Shard


@torch.no_grad()
def vocab_parallel_top_k(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor,
    group: ShardGroup,
    shard: Shard,
    *,
    k: int,
    num_usable: int,
    block_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The k most probable of the first `num_usable` tokens, best first; ties go to the lower id.

    Vocabulary rows beyond the tokenizer take part in the softmax, but are never chosen.

    Returns:
        token ids int64 `[N, K]` and their log probabilities `[N, K]`, fp32 (float64 of float64 states); K is
        `min(k, num_usable)`.
    """
    num_positions, device = len(hidden_ND), hidden_ND.device
    block_size = block_size or vocab_block_size(num_positions, device.type)
    k = min(k, num_usable)
    softmax = OnlineSoftmax(hidden_ND)
    best = torch.full((num_positions, k), -torch.inf, dtype=softmax.maximum_N.dtype, device=device)
    ids = torch.full((num_positions, k), shard.full_size, device=device)
    for begin in range(0, len(weight_VD), block_size):
        rows = slice(begin, begin + block_size)
        logits = linear_fp32(hidden_ND, weight_VD[rows], bias_V[rows])
        softmax.add_(logits.clone())
        block_ids = torch.arange(logits.shape[1], device=device) + shard.start + begin
        logits[:, block_ids >= num_usable] = -torch.inf
        best, ids = _merge(best, ids, logits, block_ids.expand_as(logits), k)
    full_maximum_N = reduce_sums_(softmax.maximum_N, softmax.sum_exp_N, group)
    if group.size > 1:
        all_best = group.all_gather(best, dim=-1, full_size=k * group.size)
        all_ids = group.all_gather(ids, dim=-1, full_size=k * group.size)
        best, ids = _merge(best[:, :0], ids[:, :0], all_best, all_ids, k)
    return ids, best - (full_maximum_N + softmax.sum_exp_N.log())[:, None]


def _merge(best: Tensor, ids: Tensor, logits: Tensor, logit_ids: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of both; ties go to the lower id, which comes first."""
    values = torch.cat([best, logits], dim=-1)
    candidates = torch.cat([ids, logit_ids], dim=-1)
    if values.shape[1] > 4 * k:
        # Reduce to few candidates before the stable sort, keeping those that tie with the last.
        threshold = values.topk(k, dim=-1).values[:, -1:]
        # NaN does not equal itself: rows with NaN would keep fewer than k.
        num_kept = max(k, int((values >= threshold).sum(dim=-1).max()))
        kept = (values >= threshold).byte().sort(dim=-1, descending=True, stable=True).indices[:, :num_kept]
        values, candidates = values.gather(-1, kept), candidates.gather(-1, kept)
    order = values.sort(dim=-1, descending=True, stable=True).indices[:, :k]
    return values.gather(-1, order), candidates.gather(-1, order)
