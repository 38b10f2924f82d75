"""Linear layers of float8 (e4m3) products: weights quantized once, with a scale a row; inputs as they come, with a
scale a token, so that no sequence's result depends on its neighbours. For GPUs of compute capability 8.9 or more.

Scales are symmetric, `max |x| / highest code`.

Shape suffixes: T packed tokens, I input features, O output features.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import Activation
from model.kernels.hardware import FAST_PATH_CALLS, runs_triton

MAX_FLOAT8 = torch.finfo(torch.float8_e4m3fn).max
# The smallest scale: rows of zeros have one, too.
MIN_SCALE = 1e-30
# Products want sizes that are multiples of this.
FLOAT8_MULTIPLE = 16


class Codes(NamedTuple):
    """Rows in float8.

    Attributes:
        rows: e4m3 `[T, I]`.
        scale: fp32 `[T, 1]`; a row stands for itself times its scale.
    """

    rows: Tensor
    scale: Tensor


def quantize_float8(x_TI: Tensor) -> Codes:
    """The nearest codes, with a scale that makes a row's largest number the highest code."""
    scale_T1 = (x_TI.abs().amax(dim=1, keepdim=True).float() / MAX_FLOAT8).clamp_(min=MIN_SCALE)
    return Codes((x_TI / scale_T1).to(torch.float8_e4m3fn), scale_T1)


class Float8Linear(nn.Module):
    """`x W^T + b` in bf16 by a product of float8 codes; on a CPU emulated.

    Sizes are multiples of `FLOAT8_MULTIPLE`.

    Args:
        before: is applied to the input; GELU, on a GPU, in the kernel that makes the codes.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, before: Activation | None = None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.quantize = quantizer(weight.device, before)
        codes_OI, scale_O1 = quantize_float8(weight.detach())
        self.weight = nn.Parameter(codes_OI, requires_grad=False)
        self.scale_1O = nn.Parameter(scale_O1.t(), requires_grad=False)

    def forward(self, x: Tensor | Codes) -> Tensor:
        """`[T, in_features]` in bf16, or codes of it, to `[T, out_features]`."""
        FAST_PATH_CALLS["float8 linear"] += 1
        codes = x if isinstance(x, Codes) else self.quantize(x)
        multiply = scaled_product if codes.rows.is_cuda else emulated_scaled_product
        return multiply(*codes, self.weight.t(), self.scale_1O, self.bias)


def quantizer(device: torch.device, before: Activation | None) -> Callable[[Tensor], Codes]:
    """`quantize_float8` behind an activation, as it is fastest on a device."""
    if runs_triton(device):
        from model.kernels.norm_triton import float8_codes  # noqa: PLC0415  # Triton, which CPU builds of torch lack

        if before is F.gelu:
            return lambda x_TI: float8_codes(x_TI, is_gelu=True)
        return float8_codes if before is None else lambda x_TI: float8_codes(before(x_TI))
    return quantize_float8 if before is None else lambda x_TI: quantize_float8(before(x_TI))


def scaled_product(
    codes_TI: Tensor, scale_T1: Tensor, codes_IO: Tensor, scale_1O: Tensor, bias: Tensor | None
) -> Tensor:
    """`[T, O]` in bf16: the product of float8 codes with a scale a row and a column, and a bias of bf16."""
    return torch._scaled_mm(
        codes_TI,
        codes_IO,
        scale_a=scale_T1,
        scale_b=scale_1O,
        bias=bias,
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )


def emulated_scaled_product(
    codes_TI: Tensor, scale_T1: Tensor, codes_IO: Tensor, scale_1O: Tensor, bias: Tensor | None
) -> Tensor:
    """`scaled_product` in fp32, for CPUs: torch 2.11 has none there, and that of later ones is no faster."""
    y_TO = (codes_TI.float() @ codes_IO.float()).mul_(scale_T1).mul_(scale_1O)
    return (y_TO if bias is None else y_TO.add_(bias)).bfloat16()
