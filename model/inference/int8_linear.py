"""Linear layers in int8 by oneDNN, for CPUs with AVX-512 VNNI.

Weights are quantized once, with a scale per row. Activations are quantized in each call, with a scale per token,
so that the result of a sequence does not depend on its neighbours. A product takes half the time of bf16. On CPUs
with AMX this form gains little; `model.kernels.amx` has an int8 layer that takes half the time there too.

Shape suffixes: T packed tokens, I input features, O output features.
"""

import torch
from torch import Tensor, nn

from model.config import Activation
from model.kernels.int8 import ZERO_CODE, int8_codes, quantize_uint8


class Int8Linear(nn.Module):
    """`activation(x W^T + b)` of bf16 `x` on a CPU; oneDNN multiplies int8 codes."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.activation = activation
        codes_OI, scale_O1 = int8_codes(weight)
        self.weight: Tensor = torch.ops.onednn.qlinear_prepack(codes_OI, None)
        self.scale_O = scale_O1.flatten()
        self.zero_O = torch.zeros(len(scale_O1), dtype=torch.int32)

    def forward(self, x_TI: Tensor) -> Tensor:
        """`[T, in_features]` to `[T, out_features]`, bf16."""
        codes_TI, scale_T1 = quantize_uint8(x_TI)
        y_TO: Tensor = torch.ops.onednn.qlinear_pointwise(
            codes_TI, 1.0, ZERO_CODE, self.weight, self.scale_O, self.zero_O, None,
            1.0, 0, x_TI.dtype, "none", [], "",
        )  # fmt: skip
        y_TO = y_TO.mul_(scale_T1) if self.bias is None else torch.addcmul(self.bias, y_TO, scale_T1, out=y_TO)
        return y_TO if self.activation is None else self.activation(y_TO)
