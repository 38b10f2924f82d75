"""The softmax statistics over a vocabulary that a loss needs, by AMX, without storing logits.

Shape suffixes: N positions, D hidden, V this rank's vocabulary rows, C chunks of the vocabulary.
"""

import torch
from torch import Tensor

from model.kernels.amx.kernels import packed
from model.kernels.amx.library import call, runs_amx_kernels

# Vocabulary rows per partial sum; partial sums are added in a fixed order, whatever the number of threads.
CHUNK_SIZE = 2048


def fits_amx_vocabulary(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor) -> bool:
    """Whether AMX can project onto this vocabulary: all in bf16, a hidden size that 32 divides."""
    is_whole = hidden_ND.shape[1] % 32 == 0 and weight_VD.is_contiguous() and bias_V.is_contiguous()
    return is_whole and hidden_ND.dtype == weight_VD.dtype == bias_V.dtype and runs_amx_kernels(weight_VD)


def amx_vocabulary_sums(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, labels_N: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the logits of each position the maximum, the sum of `exp(logit - maximum)`, and the label's; fp32 `[N]`.

    Args:
        labels_N: rows of `weight`; for other labels the logit is 0.
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
    """Uninitialized fp32 on the CPU, whatever the default dtype and device are."""
    return torch.empty(*shape, dtype=torch.float32, device="cpu")
