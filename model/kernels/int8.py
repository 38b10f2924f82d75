"""Quantize to eight bits: weights with a scale per row, activations with a scale per token.

Scales are symmetric, `max |x| / highest code`.

Shape suffixes: T packed tokens, I input features, O output features.
"""

import torch
from torch import Tensor

from model.kernels.float8 import MIN_SCALE

_MAX_INT8 = 127

# oneDNN's VNNI kernels need unsigned activations, so the zero point is 128. Signed activations would use its
# reference kernel, which is thousands of times slower.
ZERO_CODE = 128

# Rounding a scale to bf16 may lower it by this factor, and codes must not overflow.
_ROUND_UP = 1 + 2**-8

# Numbers to quantize at a time, so that their fp32 form stays in cache.
_CHUNK_SIZE = 2**18


def int8_codes(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """int8 codes of weights `[O, I]` and fp32 scales `[O, 1]`; weights are codes times scale."""
    scale_O1 = (weight_OI.detach().abs().amax(dim=1, keepdim=True).float() / _MAX_INT8).clamp_(min=MIN_SCALE)
    return (weight_OI.detach() / scale_O1).round_().to(torch.int8), scale_O1


def quantize_uint8(x_TI: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `[T, I]` from 1 to 255, where 128 is zero, and a scale per token `[T, 1]` in the dtype of x.

    Codes are computed with the rounded scale, so that its rounding adds no error.
    """
    scale_T1 = (x_TI.abs().amax(dim=1, keepdim=True).float() * (_ROUND_UP / _MAX_INT8)).clamp_(min=MIN_SCALE)
    scale_T1 = scale_T1.to(x_TI.dtype)
    codes_TI = torch.empty(x_TI.shape, dtype=torch.uint8)
    inverse_T1 = scale_T1.float().reciprocal_()
    middle = torch.tensor(ZERO_CODE + 0.5)
    num_rows = max(1, _CHUNK_SIZE // x_TI.shape[1])
    for codes, x, inverse in zip(
        codes_TI.split(num_rows), x_TI.split(num_rows), inverse_T1.split(num_rows), strict=True
    ):
        # The conversion truncates; with the added half this rounds to nearest.
        codes.copy_(torch.addcmul(middle, x, inverse))
    return codes_TI, scale_T1
