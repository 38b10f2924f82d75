"""Attention of full windows on a GPU: by cuDNN, whose kernel takes sequences of one length only.

Where that is 512, as many tokens as XL takes, it needs two thirds of the time of our tiles (measured on an H100,
heads of 80 and of 128). It plans every number of sequences anew, which takes a twentieth of a second each: runs
are cut into powers of two.

Shape suffixes: see `model.layers.attention`.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends.cuda import SDPAParams, can_use_cudnn_attention
from torch.nn.attention import SDPBackend, sdpa_kernel

WINDOW_LENGTH = 512
# Hopper, on which it was measured.
MIN_CAPABILITY = (9, 0)


def takes_windows(q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor) -> bool:
    """Whether cuDNN computes windows on this GPU, in this dtype, with heads of this size."""
    if torch.cuda.get_device_capability(q_TNK.device) < MIN_CAPABILITY:
        return False
    q_BNSK, k_BNSK, v_BNSK = (x.unsqueeze(0).transpose(1, 2) for x in (q_TNK, k_TNK, v_TNK))
    return can_use_cudnn_attention(SDPAParams(q_BNSK, k_BNSK, v_BNSK, None, 0.0, False, False))


@lru_cache(maxsize=1)
def window_runs(lengths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Neighbouring windows that share a call: their first token, and how many they are, a power of two."""
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


def attention_in_windows(q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor) -> Tensor:
    """Softmax attention of each window to itself, `[T, N, K]`, without gradient.

    A window's result does not depend on how many there are. The switch that chooses cuDNN is the process's own.
    """
    q_BNSK, k_BNSK, v_BNSK = (x.unflatten(0, (-1, WINDOW_LENGTH)).transpose(1, 2) for x in (q_TNK, k_TNK, v_TNK))
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        context_BNSK = F.scaled_dot_product_attention(q_BNSK, k_BNSK, v_BNSK)
    return context_BNSK.transpose(1, 2).flatten(0, 1)
