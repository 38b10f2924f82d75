"""Attention of packed sequences without weights: which kernel computes it, and the ones made of torch's own calls.

Shape suffixes: T packed tokens, B batch, S query length, R key length, N heads of this rank, K head size.
"""

import math
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from model.kernels.attention_cpu_rows import attention_in_rows
from model.kernels.attention_gpu import half_precision_on_gpu
from model.kernels.hardware import FAST_PATH_CALLS, exact_bf16_products, has_amx, has_onednn_bf16
from model.kernels.not_finite import keep_not_finite_
from model.packing import PackedBatch

# Where two products beat scaled dot product attention on a CPU in bf16 without AMX (measured with heads of 80).
MIN_PRODUCT_LENGTH = 32

SCORE_BYTES = 2**21


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
