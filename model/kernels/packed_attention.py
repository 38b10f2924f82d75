"""Attention of packed sequences, without attention weights: the choice of a kernel, and those made of torch calls.

Shape suffixes: T packed tokens, B batch, S query length, R key length, N heads of this rank, K head size.
"""

import math
from itertools import groupby
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from model.kernels.attention_cpu_rows import rows_attention
from model.kernels.attention_gpu import TILED_HEAD_SIZES, gpu_attention, varlen_attention
from model.kernels.hardware import exact_bf16_products, has_amx, has_onednn_bf16, runs_triton
from model.kernels.not_finite import keep_not_finite_
from model.packing import PackedBatch

AttentionKernel = Literal["triton", "varlen", "amx rows", "products", "sdpa"]
"""Which kernel computes the attention of packed sequences.

- "triton": the Triton kernel on a GPU; cuDNN for full windows, where it is faster (`attention_gpu`).
- "varlen": torch's kernel for sequences of any length on a GPU in half precision.
- "amx rows": torch's kernel on padded rows, on a CPU with AMX in bf16 (`attention_cpu_rows`).
- "products": two batched products for sequences of `MIN_PRODUCT_LENGTH` and more, on other CPUs in bf16.
- "sdpa": scaled dot product attention of torch, for everything else.
"""

# From this length, two products beat scaled dot product attention on a CPU in bf16 without AMX (heads of 80).
MIN_PRODUCT_LENGTH = 32

SCORE_BYTES = 2**21


def attention_kernel(q_TNK: Tensor, *, is_causal: bool = False) -> AttentionKernel:
    """Choose the kernel of `packed_attention` for queries of this device, dtype and head size.

    Only some kernels have a gradient or a causal mask; gradient mode is that of the caller.
    """
    is_plain = is_causal or torch.is_grad_enabled()
    if q_TNK.is_cuda and q_TNK.dtype in (torch.bfloat16, torch.float16):
        has_tiles = q_TNK.shape[2] in TILED_HEAD_SIZES and runs_triton(q_TNK.device)
        return "triton" if has_tiles and not is_plain else "varlen"
    if is_plain or not has_onednn_bf16(q_TNK):
        return "sdpa"
    return "amx rows" if has_amx() else "products"


def packed_attention(
    q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, batch: PackedBatch, *, is_causal: bool = False
) -> Tensor:
    """Softmax attention within each packed sequence, `[T, N, K]`, by the kernel that `attention_kernel` names."""
    match attention_kernel(q_TNK, is_causal=is_causal):
        case "triton":
            return gpu_attention(q_TNK, k_TNK, v_TNK, batch.lengths)
        case "varlen":
            return varlen_attention(q_TNK, k_TNK, v_TNK, batch, is_causal=is_causal)
        case "amx rows":
            context_TNK = rows_attention(q_TNK, k_TNK, v_TNK, batch.lengths)
        case kernel:
            context_TNK = _attention_by_length(q_TNK, k_TNK, v_TNK, batch.lengths, kernel, is_causal)
    return keep_not_finite_(context_TNK, q_TNK, k_TNK)


def _attention_by_length(
    q_TNK: Tensor, k_TNK: Tensor, v_TNK: Tensor, lengths: tuple[int, ...], kernel: AttentionKernel, is_causal: bool
) -> Tensor:
    """The kernels "products" and "sdpa"; runs of sequences of one length share a call of the latter."""
    runs = [(length, len(list(run))) for length, run in groupby(lengths)]
    sizes = [length * count for length, count in runs]
    outputs = []
    for (length, count), q, k, v in zip(
        runs, q_TNK.split(sizes), k_TNK.split(sizes), v_TNK.split(sizes), strict=True
    ):
        q_BNSK, k_BNSK, v_BNSK = (x.unflatten(0, (count, length)).transpose(1, 2) for x in (q, k, v))
        if kernel == "products" and length >= MIN_PRODUCT_LENGTH:
            outputs += [attention_of_products(*qkv) for qkv in zip(q_BNSK, k_BNSK, v_BNSK, strict=True)]
        else:
            context = F.scaled_dot_product_attention(q_BNSK, k_BNSK, v_BNSK, is_causal=is_causal)
            outputs.append(context.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)


def attention_of_products(q_NSK: Tensor, k_NSK: Tensor, v_NSK: Tensor) -> Tensor:
    """Attention of one bf16 sequence by two batched products, `[S, N, K]`; scores and softmax in fp32.

    Computes as many heads at a time as have `SCORE_BYTES` of scores, so that these stay in cache. The length is
    padded to a multiple of 16 or 32: oneDNN compiles kernels for every shape (2 MB and 2 ms for both products).
    """
    num_heads, length, head_size = q_NSK.shape
    size = _padded_length(length)
    most = max(1, SCORE_BYTES // (4 * size * size))
    step = next(n for n in range(min(most, num_heads), 0, -1) if num_heads % n == 0)
    q_NRK, k_NRK = (_padded(x, size, torch.float32) for x in (q_NSK, k_NSK))
    v_NRK = _padded(v_NSK, size, v_NSK.dtype)
    context_SNK = torch.empty(length, num_heads, head_size, dtype=v_NSK.dtype)
    for begin in range(0, num_heads, step):
        heads = slice(begin, begin + step)
        with exact_bf16_products():
            scores_NRR = torch.bmm(q_NRK[heads], k_NRK[heads].transpose(1, 2))
        scores_NRR.mul_(1 / math.sqrt(head_size))[:, :, length:] = -torch.inf
        probs_NRR = F.softmax(scores_NRR, dim=-1).to(v_NRK.dtype)
        context_SNK[:, heads] = torch.bmm(probs_NRR, v_NRK[heads])[:, :length].transpose(0, 1)
    return context_SNK


def _padded_length(length: int) -> int:
    multiple = 16 if length < 128 else 32
    return length + -length % multiple


def num_padded_lengths(max_length: int) -> int:
    """How many different padded lengths `attention_of_products` uses."""
    return len({_padded_length(length) for length in range(MIN_PRODUCT_LENGTH, max_length + 1)})


def _padded(x_NSK: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """The sequence with zeros behind it, up to a length."""
    padded = torch.empty(x_NSK.shape[0], size, x_NSK.shape[2], dtype=dtype)
    padded[:, : x_NSK.shape[1]] = x_NSK
    padded[:, x_NSK.shape[1] :] = 0
    return padded
