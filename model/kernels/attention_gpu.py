"""Attention of packed sequences on a GPU in half precision: by Triton and cuDNN, or by torch's varlen kernel.

Neither the kernel that computes a sequence nor its result depends on the other sequences of the batch.

Shape suffixes: see `model.layers.attention`.
"""

from collections.abc import Callable
from functools import cache, partial
from inspect import signature
from typing import cast

import torch
from torch import Tensor

from model.kernels.attention_cudnn import WINDOW_LENGTH, cudnn_attention, supports_cudnn, window_runs
from model.kernels.not_finite import keep_not_finite_
from model.packing import PackedBatch

# The head sizes that the Triton kernel supports.
TILED_HEAD_SIZES = range(16, 129)


def varlen_attention(
    q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, batch: PackedBatch, *, is_causal: bool
) -> Tensor:
    """Attention by torch's kernel for sequences of any length, `[T, N, K]`; differentiable."""
    context_TNK = torch_varlen_attention()(
        # Views of one matrix are fine: only the elements of a head must be next to each other.
        q_TNK,
        k_TNK,
        v_TNK,
        batch.cu_seqlens,
        batch.cu_seqlens,
        batch.max_seqlen,
        batch.max_seqlen,
        window_size=(-1, 0) if is_causal else (-1, -1),
    )
    # bf16 has the range of fp32. Under autograd the result must not be written to.
    if is_causal and q_TNK.dtype == torch.float16 and not torch.is_grad_enabled():
        keep_not_finite_(context_TNK, q_TNK, k_TNK)
    return context_TNK


def gpu_attention(q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Full windows by cuDNN where it supports them, everything else by the Triton kernel; `[T, N, K]`."""
    from model.kernels.attention_triton import triton_attention_  # noqa: PLC0415  # needs Triton, which CPU builds of torch lack

    runs = window_runs(lengths)
    if not runs or not supports_cudnn(q_TNK, k_TNK, v_TNK):
        runs = ()
    if runs == ((0, len(lengths)),):
        return cudnn_attention(q_TNK, k_TNK, v_TNK)
    context_TNK = torch.empty(q_TNK.shape, dtype=q_TNK.dtype, device=q_TNK.device)
    triton_attention_(context_TNK, q_TNK, k_TNK, v_TNK, lengths, skipped_length=WINDOW_LENGTH if runs else 0)
    for first_token, num_windows in runs:
        tokens = slice(first_token, first_token + num_windows * WINDOW_LENGTH)
        context_TNK[tokens] = cudnn_attention(q_TNK[tokens], k_TNK[tokens], v_TNK[tokens])
    return context_TNK


@cache
def torch_varlen_attention() -> Callable[..., Tensor]:
    """torch's varlen attention without split-KV, which would make a sequence's result depend on its neighbours.

    Before torch 2.12 there is no such argument, and it splits only where heads share keys.
    """
    # Imported here since it loads torch's compiler, which processes without a GPU do not need.
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415

    can_split = "num_splits" in signature(varlen_attn).parameters
    return cast(Callable[..., Tensor], partial(varlen_attn, num_splits=1) if can_split else varlen_attn)
