"""Attention of full windows on a GPU by cuDNN, whose kernel needs sequences of equal length.

For windows of 512 tokens, the maximum of XL, it takes two thirds of the time of the Triton kernel (measured on an
H100, head sizes 80 and 128). cuDNN builds a plan for each number of sequences, which takes 50 ms, so runs of
windows are split into powers of two.

Shape suffixes: see `model.layers.attention`.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends.cuda import SDPAParams, can_use_cudnn_attention
from torch.nn.attention import SDPBackend, sdpa_kernel

WINDOW_LENGTH = 512
# Hopper; not measured on older GPUs.
MIN_CAPABILITY = (9, 0)


def supports_cudnn(q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor) -> bool:
    """Whether cuDNN supports this GPU, dtype and head size."""
    if torch.cuda.get_device_capability(q_TNK.device) < MIN_CAPABILITY:
        return False
    q_BNSK, k_BNSK, v_BNSK = (x.unsqueeze(0).transpose(1, 2) for x in (q_TNK, k_TNK, v_TNK))
    return can_use_cudnn_attention(SDPAParams(q_BNSK, k_BNSK, v_BNSK, None, 0.0, False, False))


@lru_cache(maxsize=1)
def window_runs(lengths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The first token and the number of windows of each call; the number is a power of two."""
    runs = []
    first_token = num_windows = 0
    for length in (*lengths, 0):
        if length == WINDOW_LENGTH:
            num_windows += 1
            continue
        while num_windows:
            size = 1 << (num_windows.bit_length() - 1)
            runs.append((first_token, size))
            first_token += size * WINDOW_LENGTH
            num_windows -= size
        first_token += length
    return tuple(runs)


def cudnn_attention(q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor) -> Tensor:
    """Softmax attention within each window, `[T, N, K]`, without gradient.

    The result of a window does not depend on the number of windows. cuDNN is selected for the whole process
    meanwhile.
    """
    q_BNSK, k_BNSK, v_BNSK = (x.unflatten(0, (-1, WINDOW_LENGTH)).transpose(1, 2) for x in (q_TNK, k_TNK, v_TNK))
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        context_BNSK = F.scaled_dot_product_attention(q_BNSK, k_BNSK, v_BNSK)
    return context_BNSK.transpose(1, 2).flatten(0, 1)
