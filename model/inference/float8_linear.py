"""Linear layers in float8 (e4m3), for GPUs of compute capability 8.9 or more.

Weights are quantized once, with a scale per row. Activations are quantized in each call, with a scale per token,
so that the result of a sequence does not depend on its neighbours.

Shape suffixes: T packed tokens, I input features, O output features.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import Activation
from model.kernels.float8 import Codes, emulated_scaled_product, quantize_float8, scaled_product
from model.kernels.hardware import runs_triton


class Float8Linear(nn.Module):
    """`x W^T + b` of bf16 `x` as a product of float8 codes; emulated on a CPU.

    Sizes must be multiples of `FLOAT8_MULTIPLE`.

    Args:
        before: activation of the input; on a GPU, GELU is part of the quantization kernel.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, before: Activation | None = None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.quantize = quantizer(weight.device, before)
        codes_OI, scale_O1 = quantize_float8(weight.detach())
        self.weight = nn.Parameter(codes_OI, requires_grad=False)
        self.scale_1O = nn.Parameter(scale_O1.t(), requires_grad=False)

    def forward(self, x: Tensor | Codes) -> Tensor:
        """`[T, in_features]`, in bf16 or quantized, to bf16 `[T, out_features]`."""
        codes = x if isinstance(x, Codes) else self.quantize(x)
        multiply = scaled_product if codes.rows.is_cuda else emulated_scaled_product
        return multiply(*codes, self.weight.t(), self.scale_1O, self.bias)


def quantizer(device: torch.device, before: Activation | None) -> Callable[[Tensor], Codes]:
    """The fastest `quantize_float8` for a device, after an activation."""
    if runs_triton(device):
        from model.kernels.norm_triton import float8_codes  # noqa: PLC0415  # needs Triton, which CPU builds lack

        if before is F.gelu:
            return lambda x_TI: float8_codes(x_TI, is_gelu=True)
        return float8_codes if before is None else lambda x_TI: float8_codes(before(x_TI))
    return quantize_float8 if before is None else lambda x_TI: quantize_float8(before(x_TI))
