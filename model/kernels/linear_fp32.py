"""A linear layer with fp32 results of half-precision inputs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model.kernels.hardware import FAST_PATH_CALLS, exact_bf16_products, has_onednn_bf16
from model.kernels.precision import wide_dtype, without_autocast


def linear_fp32(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x W^T + b` with fp32 result (float64 of float64): bf16 logits near 58 would be a quarter apart.

    Autocast does not change that. Without gradient, half precision on a GPU and bf16 on a CPU have kernels of
    their own that give it. A trace takes the general way, which is right with and without gradient.
    """
    dtype = wide_dtype(x.dtype)
    wide_bias = None if bias is None else bias.to(dtype)
    is_general = torch.is_grad_enabled() or torch.jit.is_tracing()
    is_half = x.dtype == weight.dtype and x.dtype in (torch.bfloat16, torch.float16)
    with without_autocast(x.device):
        if is_general or not is_half or not (x.is_cuda or has_onednn_bf16(x)):
            return F.linear(x.to(dtype), weight.to(dtype), wide_bias)
        if x.is_cuda:
            y = torch.mm(x.flatten(0, -2), weight.t(), out_dtype=dtype)
        else:
            FAST_PATH_CALLS["fp32 result of bf16"] += 1
            with exact_bf16_products():
                y = torch.mm(x.flatten(0, -2).to(dtype), weight.to(dtype).t())
    y = y.unflatten(0, x.shape[:-1])
    return y if wide_bias is None else y.add_(wide_bias)
