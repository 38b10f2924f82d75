"""Losses: cross entropy over a vocabulary that is split over the ranks, and the losses of the tasks.

The vocabulary-parallel form is that of Megatron-LM (https://arxiv.org/abs/1909.08053, section 3): each rank
computes its own columns of the logits, and the maximum, the sum of exponentials and the label's logit are reduced.

Shape suffixes: N labelled positions, D hidden, V this rank's vocabulary rows.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from model.kernels.amx.vocabulary import amx_vocabulary_sums, fits_amx_vocabulary
from model.kernels.linear_fp32 import linear_fp32
from model.kernels.precision import wide_dtype
from model.parallel.group import ShardGroup, reduce_from_shards
from model.parallel.shard import Shard
from model.tokenizer.special_tokens import IGNORE_INDEX

# Vocabulary rows to project at a time without gradient, on a GPU.
GPU_VOCAB_BLOCK_SIZE = 8192
# The same on a CPU, where a block of weights and its logits (up to this number) should stay in cache.
CPU_VOCAB_BLOCK_SIZE = 2048
MIN_VOCAB_BLOCK_SIZE = 256
_MAX_BLOCK_LOGITS = 2**22


def vocab_block_size(num_positions: int, device: str) -> int:
    """Vocabulary rows to project at a time: the more positions, the fewer rows.

    Bounds memory at `block_size * (positions + hidden size)` fp32 numbers.
    """
    if device == "cuda":
        return GPU_VOCAB_BLOCK_SIZE
    return max(MIN_VOCAB_BLOCK_SIZE, min(CPU_VOCAB_BLOCK_SIZE, _MAX_BLOCK_LOGITS // max(1, num_positions)))


def refuse_wrong_labels(labels_N: Tensor, num_positions: int, num_classes: int) -> None:
    """Raise as torch's losses do for labels that are neither a class nor -100, and for a wrong number of labels.

    This calls torch's own check on logits without memory. On a GPU it is a device-side assertion, for which the
    host does not wait. Every rank has all labels, so all ranks raise and none waits for the others.

    Raises:
        IndexError: "Target 70 is out of bounds."
        ValueError: the numbers of labels and positions differ.
    """
    logits_NV = torch.zeros((), dtype=torch.float32, device=labels_N.device).expand(num_positions, num_classes)
    F.nll_loss(logits_NV, labels_N, ignore_index=IGNORE_INDEX, reduction="none")


def vocab_parallel_cross_entropy(logits_NV: Tensor, labels_N: Tensor, group: ShardGroup, shard: Shard) -> Tensor:
    """Negative log likelihood of each label, fp32 `[N]`; 0 where the label is -100. Differentiable.

    Args:
        logits_NV: this rank's columns `[shard.start, shard.stop)` of the logits, fp32.
        labels_N: ids in the full vocabulary, or -100.

    Raises IndexError: other labels; on a GPU a device-side assertion.
    """
    refuse_wrong_labels(labels_N, len(logits_NV), shard.full_size)
    maximum_N = group.all_reduce_(logits_NV.detach().amax(dim=-1), op=dist.ReduceOp.MAX)
    sum_exp_N = reduce_from_shards((logits_NV - maximum_N[:, None]).exp().sum(dim=-1), group)
    label_logit_N = reduce_from_shards(_label_logits(logits_NV, labels_N, shard.start), group)
    # Subtract first: the difference of two near logits is exact, where log + maximum would round if logits are
    # large.
    nll_N = sum_exp_N.log() + (maximum_N - label_logit_N)
    return nll_N.masked_fill(labels_N == IGNORE_INDEX, 0.0)


def _label_logits(logits_NV: Tensor, labels_N: Tensor, start: int) -> Tensor:
    """The logit of the label if this rank has its column, else 0."""
    is_here = (labels_N >= start) & (labels_N < start + logits_NV.shape[-1])
    columns = (labels_N.long() - start).masked_fill(~is_here, 0)
    return logits_NV.gather(-1, columns[:, None]).squeeze(-1).masked_fill(~is_here, 0.0)


@torch.no_grad()
def vocab_parallel_nll(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor,
    labels_N: Tensor,
    group: ShardGroup,
    shard: Shard,
    *,
    block_size: int | None = None,
) -> Tensor:
    """Projection and cross entropy together, one block of the vocabulary at a time, without an `[N, V]` tensor.

    Same result as `vocab_parallel_cross_entropy` on the full logits. Without a given block size, CPUs with AMX use
    `model.kernels.amx.vocabulary`.

    Returns:
        fp32 `[N]`; 0 where the label is -100.

    Raises IndexError: a label that is neither in the vocabulary nor -100; on a GPU a device-side assertion.
    """
    refuse_wrong_labels(labels_N, len(hidden_ND), shard.full_size)
    if block_size is None and fits_amx_vocabulary(hidden_ND, weight_VD, bias_V):
        sums = amx_vocabulary_sums(hidden_ND, weight_VD, bias_V, labels_N - shard.start)
    else:
        block_size = block_size or vocab_block_size(len(hidden_ND), hidden_ND.device.type)
        sums = _vocabulary_sums(hidden_ND, weight_VD, bias_V, labels_N - shard.start, block_size)
    maximum_N, sum_exp_N, label_logit_N = sums
    full_maximum_N = reduce_sums_(maximum_N, sum_exp_N, group)
    group.all_reduce_(label_logit_N)
    nll_N = sum_exp_N.log_() + (full_maximum_N - label_logit_N)
    return nll_N.masked_fill(labels_N == IGNORE_INDEX, 0.0)


def _vocabulary_sums(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, labels_N: Tensor, block_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`amx_vocabulary_sums` by torch calls, one block of the vocabulary at a time."""
    softmax = OnlineSoftmax(hidden_ND)
    label_logit_N = torch.zeros_like(softmax.maximum_N)
    for begin in range(0, len(weight_VD), block_size):
        rows = slice(begin, begin + block_size)
        logits = linear_fp32(hidden_ND, weight_VD[rows], bias_V[rows])
        label_logit_N += _label_logits(logits, labels_N, begin)
        softmax.add_(logits)
    return softmax.maximum_N, softmax.sum_exp_N, label_logit_N


class OnlineSoftmax:
    """The running maximum and sum of exponentials of logits that come in blocks of the vocabulary.

    Milakov and Gimelshein 2018, https://arxiv.org/abs/1805.02867.
    """

    def __init__(self, hidden_ND: Tensor) -> None:
        dtype, device = wide_dtype(hidden_ND.dtype), hidden_ND.device
        self.maximum_N = torch.full((len(hidden_ND),), -torch.inf, dtype=dtype, device=device)
        self.sum_exp_N = torch.zeros_like(self.maximum_N)

    def add_(self, logits: Tensor) -> None:
        """Add a block of columns, which is overwritten."""
        new_maximum_N = torch.maximum(self.maximum_N, logits.amax(dim=-1))
        self.sum_exp_N *= (self.maximum_N - new_maximum_N).exp_()
        self.sum_exp_N += logits.sub_(new_maximum_N[:, None]).exp_().sum(dim=-1)
        self.maximum_N = new_maximum_N


def reduce_sums_(maximum_N: Tensor, sum_exp_N: Tensor, group: ShardGroup) -> Tensor:
    """The maximum over all ranks; `sum_exp` is overwritten by the sum over all ranks relative to it."""
    full_maximum_N = group.all_reduce_(maximum_N.clone(), op=dist.ReduceOp.MAX)
    group.all_reduce_(sum_exp_N.mul_((maximum_N - full_maximum_N).exp_()))
    return full_maximum_N


def mean_over_labels(nll_N: Tensor, labels_N: Tensor) -> Tensor:
    """Mean over the labelled positions; NaN if there are none, as in `torch.nn.CrossEntropyLoss`."""
    return nll_N.sum() / (labels_N != IGNORE_INDEX).sum()


def infer_problem_type(labels: Tensor, num_labels: int) -> str:
    """regression for one label, single label for integer labels, else multi-label."""
    if num_labels == 1:
        return "regression"
    if labels.dtype in (torch.int64, torch.int32):
        return "single_label_classification"
    return "multi_label_classification"


def classification_loss(logits: Tensor, labels: Tensor, problem_type: str) -> Tensor:
    """MSE, cross entropy or binary cross entropy, by problem type; logits fp32 `[batch, num_labels]`."""
    num_labels = logits.shape[-1]
    if problem_type == "regression":
        if num_labels == 1:
            return F.mse_loss(logits.squeeze(), labels.squeeze())
        return F.mse_loss(logits, labels)
    if problem_type == "single_label_classification":
        return F.cross_entropy(logits.view(-1, num_labels), labels.view(-1).long())
    return F.binary_cross_entropy_with_logits(logits, labels)
