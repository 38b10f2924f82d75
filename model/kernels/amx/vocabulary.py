"""Softmax over a vocabulary in tiles, without its logits: what a loss needs of them.

Shape suffixes: N positions, D hidden, V this rank's vocabulary rows, C chunks of the vocabulary.
"""

import torch
from torch import Tensor

from model.kernels.amx.kernels import packed
from model.kernels.amx.library import call, runs_amx_kernels

# Rows of the vocabulary whose results are added up apart: in one order, however many threads there are.
CHUNK_SIZE = 2048


def fits_vocabulary_tiles(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor) -> bool:
    """Whether this process projects onto a vocabulary in tiles: all in bf16, a hidden size of a multiple of 32."""
    is_whole = hidden_ND.shape[1] % 32 == 0 and weight_VD.is_contiguous() and bias_V.is_contiguous()
    return is_whole and hidden_ND.dtype == weight_VD.dtype == bias_V.dtype and runs_amx_kernels(weight_VD)


def vocabulary_sums_in_tiles(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, labels_N: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each position's logits the highest, the sum of `exp(logit - highest)`, and the label's logit; fp32 `[N]`.

    Args:
        labels_N: rows of `weight`; the logit of what is none is 0.
    """
    (num_positions, hidden_size), vocab_size = hidden_ND.shape, len(weight_VD)
    assert weight_VD.shape == (vocab_size, hidden_size)
    assert bias_V.shape == (vocab_size,)
    num_filled = num_positions + -num_positions % 32
    labels = torch.full((num_filled,), -1, dtype=torch.int32, device="cpu")
    labels[:num_positions] = labels_N
    num_chunks = max(1, -(-vocab_size // CHUNK_SIZE))
    highest_CN, sum_exp_CN = _fp32(num_chunks, num_filled), _fp32(num_chunks, num_filled)
    label_logit_N = _fp32(num_filled).zero_()
    results = highest_CN, sum_exp_CN, label_logit_N
    sizes = num_positions, hidden_size, vocab_size, CHUNK_SIZE
    call("vocabulary_sums", packed(hidden_ND), weight_VD, bias_V, labels, *results, *sizes)
    return highest_CN[0, :num_positions], sum_exp_CN[0, :num_positions], label_logit_N[:num_positions]


def _fp32(*shape: int) -> Tensor:
    """Whatever the default dtype and device are."""
    return torch.empty(*shape, dtype=torch.float32, device="cpu")
