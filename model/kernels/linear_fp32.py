"""Linear layers with fp32 results from half-precision inputs, as logits need them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model.kernels.hardware import exact_bf16_products, has_onednn_bf16
from model.kernels.precision import wide_dtype, without_autocast


def multiplies_in_half(x: Tensor, weight: Tensor) -> bool:
    """Whether `linear_fp32` multiplies half-precision operands: without gradient, on GPUs or in bf16 by oneDNN.

    Not while tracing: a trace must be right with and without gradient.
    """
    is_general = torch.is_grad_enabled() or torch.jit.is_tracing()
    is_half = x.dtype == weight.dtype and x.dtype in (torch.bfloat16, torch.float16)
    return not is_general and is_half and (x.is_cuda or has_onednn_bf16(x))


def linear_fp32(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x W^T + b` with fp32 result (float64 of float64), under autocast too.

    bf16 logits near 58 would be a quarter apart. Sums are in fp32 also where `multiplies_in_half`.
    """
    dtype = wide_dtype(x.dtype)
    wide_bias = None if bias is None else bias.to(dtype)
    with without_autocast(x.device):
        if not multiplies_in_half(x, weight):
            return F.linear(x.to(dtype), weight.to(dtype), wide_bias)
        if x.is_cuda:
            y = torch.mm(x.flatten(0, -2), weight.t(), out_dtype=dtype)
        else:
            with exact_bf16_products():
                y = torch.mm(x.flatten(0, -2).to(dtype), weight.to(dtype).t())
    y = y.unflatten(0, x.shape[:-1])
    return y if wide_bias is None else y.add_(wide_bias)
