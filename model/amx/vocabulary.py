"""Softmax over a vocabulary in tiles, without its logits: what a loss needs of them.

Shape suffixes: N positions, D hidden, V this rank's vocabulary rows, C chunks of the vocabulary.
"""

import torch
from torch import Tensor

from model.amx.kernels import packed_weight
from model.amx.library import call, runs_amx_kernels
from model.fast_paths import FAST_PATH_CALLS

# Rows of the vocabulary whose results are added up apart: in one order, however many threads there are.
CHUNK_SIZE = 2048


def fits_vocabulary_tiles(hidden_ND: Tensor, weight_VD: Tensor) -> bool:
    """Whether this process projects onto a vocabulary in tiles: in bf16, a hidden size of a multiple of 32."""
    is_whole = hidden_ND.shape[1] % 32 == 0 and weight_VD.is_contiguous()
    return is_whole and hidden_ND.dtype == weight_VD.dtype and runs_amx_kernels(weight_VD)


def vocabulary_sums_in_tiles(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, labels_N: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each position's logits: the highest, the sum of exponentials of what all lie below it, the label's; fp32.

    Args:
        labels_N: rows of `weight`; the logit of what is none is 0.
    """
    FAST_PATH_CALLS["vocabulary in tiles"] += 1
    num_positions, hidden_size = hidden_ND.shape
    num_filled = num_positions + -num_positions % 32
    labels = torch.full((num_filled,), -1, dtype=torch.int32)
    labels[:num_positions] = labels_N
    num_chunks = -(-len(weight_VD) // CHUNK_SIZE)
    highest_CN, sum_exp_CN = (torch.empty(num_chunks, num_filled) for _ in range(2))
    label_logit_N = torch.zeros(num_filled)
    sizes = num_positions, hidden_size, len(weight_VD), CHUNK_SIZE
    rows = packed_weight(hidden_ND)
    call("vocabulary_sums", rows, weight_VD, bias_V, labels, highest_CN, sum_exp_CN, label_logit_N, *sizes)
    highest_N = highest_CN.amax(dim=0)
    sum_exp_N = sum_exp_CN.mul_(highest_CN.sub_(highest_N).exp_()).sum(dim=0)
    return highest_N[:num_positions], sum_exp_N[:num_positions], label_logit_N[:num_positions]
