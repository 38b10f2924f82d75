"""Attention of packed sequences on a GPU in half precision: in windows, in tiles, or by torch's kernel.

Which one computes a sequence, and its result, do not depend on its neighbours.

Shape suffixes: see `model.layers.attention`.
"""

from collections.abc import Callable
from functools import cache, partial
from inspect import signature
from typing import cast

import torch
from torch import Tensor

from model.kernels.attention_cudnn import WINDOW_LENGTH, attention_in_windows, takes_windows, window_runs
from model.kernels.hardware import FAST_PATH_CALLS, runs_triton
from model.kernels.not_finite import keep_not_finite_
from model.packing import PackedBatch

# What a tile holds.
TILED_HEAD_SIZES = range(16, 129)


def half_precision_on_gpu(
    q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, batch: PackedBatch, *, is_causal: bool
) -> Tensor:
    """`attention_in_pieces` without gradient and to all tokens; otherwise torch's kernel of variable length."""
    is_fast = not is_causal and not torch.is_grad_enabled() and q_TNK.shape[2] in TILED_HEAD_SIZES
    if is_fast and runs_triton(q_TNK.device):
        return attention_in_pieces(q_TNK, k_TNK, v_TNK, batch.lengths)
    FAST_PATH_CALLS["varlen attention"] += 1
    context_TNK = varlen_attention()(
        # Views of one matrix: the kernel asks for no more than neighbouring elements of a head.
        q_TNK,
        k_TNK,
        v_TNK,
        batch.cu_seqlens,
        batch.cu_seqlens,
        batch.max_seqlen,
        batch.max_seqlen,
        window_size=(-1, 0) if is_causal else (-1, -1),
    )
    # bf16 reaches as far as fp32; and what a gradient is to be made of is not to be written to.
    if is_causal and q_TNK.dtype == torch.float16 and not torch.is_grad_enabled():
        keep_not_finite_(context_TNK, q_TNK, k_TNK)
    return context_TNK


def attention_in_pieces(q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Windows by cuDNN, where there is one for them, and all else in tiles; `[T, N, K]`."""
    from model.kernels.attention_triton import attention_in_tiles_  # noqa: PLC0415  # Triton, which CPU builds of torch lack

    runs = window_runs(lengths)
    if not runs or not takes_windows(q_TNK, k_TNK, v_TNK):
        runs = ()
    if runs == ((0, len(lengths)),):
        return attention_in_windows(q_TNK, k_TNK, v_TNK)
    context_TNK = torch.empty(q_TNK.shape, dtype=q_TNK.dtype, device=q_TNK.device)
    attention_in_tiles_(context_TNK, q_TNK, k_TNK, v_TNK, lengths, skipped_length=WINDOW_LENGTH if runs else 0)
    for first_token, num_windows in runs:
        tokens = slice(first_token, first_token + num_windows * WINDOW_LENGTH)
        context_TNK[tokens] = attention_in_windows(q_TNK[tokens], k_TNK[tokens], v_TNK[tokens])
    return context_TNK


@cache
def varlen_attention() -> Callable[..., Tensor]:
    """torch's attention of variable length without split-KV, which would make a result depend on its neighbours.

    Before torch 2.12 it has no such argument, and splits only where heads share their keys.
    """
    # Loads torch's compiler, whose time processes without a GPU need not spend.
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415

    can_split = "num_splits" in signature(varlen_attn).parameters
    return cast(Callable[..., Tensor], partial(varlen_attn, num_splits=1) if can_split else varlen_attn)
