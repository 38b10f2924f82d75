"""Quantize rows to float8 (e4m3) with a scale per row, and multiply the codes; emulated on CPUs.

Scales are symmetric, `max |x| / highest code`.

Shape suffixes: T packed tokens, I input features, O output features.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MAX_FLOAT8 = torch.finfo(torch.float8_e4m3fn).max

# A lower bound on scales, so that rows of zeros do not divide by zero.
MIN_SCALE = 1e-30

# The sizes of a product must be multiples of this.
FLOAT8_MULTIPLE = 16


class Codes(NamedTuple):
    """float8 codes of rows.

    Attributes:
        rows: e4m3 `[T, I]`.
        scale: fp32 `[T, 1]`; values are codes times scale.
    """

    rows: Tensor
    scale: Tensor


def quantize_float8(x_TI: Tensor) -> Codes:
    """Quantize each row to the nearest codes, scaled so that its largest number becomes the highest code."""
    scale_T1 = (x_TI.abs().amax(dim=1, keepdim=True).float() / MAX_FLOAT8).clamp_(min=MIN_SCALE)
    return Codes((x_TI / scale_T1).to(torch.float8_e4m3fn), scale_T1)


def scaled_product(
    codes_TI: Tensor, scale_T1: Tensor, codes_IO: Tensor, scale_1O: Tensor, bias: Tensor | None
) -> Tensor:
    """The product of float8 codes with a scale per row and per column, plus a bf16 bias: bf16 `[T, O]`."""
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
    """`scaled_product` in fp32, for CPUs: torch 2.11 has no such kernel there, and later ones are no faster."""
    y_TO = (codes_TI.float() @ codes_IO.float()).mul_(scale_T1).mul_(scale_1O)
    return (y_TO if bias is None else y_TO.add_(bias)).bfloat16()
