"""Linear layers of int8 products: weights quantized once, with a scale a row; inputs as they come, with a scale a
token, so that no sequence's result depends on its neighbours. And what can be quantized where, float8 included.

Scales are symmetric, `max |x| / highest code`. int8 is for CPUs with AVX-512 VNNI, where a product takes half the
time of bf16 (with AMX about as much here, and half in `model.kernels.amx`).

Shape suffixes: T packed tokens, I input features, O output features.
"""

from collections.abc import Iterable
from typing import Final, Literal

import torch
from torch import Tensor, nn

from model.config import Activation
from model.inference.float8_linear import FLOAT8_MULTIPLE, MIN_SCALE
from model.kernels.hardware import FAST_PATH_CALLS

Quantization = Literal["int8", "float8"]
QUANTIZATIONS: Final[tuple[Quantization, ...]] = ("int8", "float8")

_MAX_INT8 = 127
# oneDNN's VNNI kernels take unsigned inputs, so zero is this code; signed ones fall to its reference, which is
# thousands of times slower.
_ZERO_CODE = 128
# Rounding to bf16 may lower a scale by this share, and a code must not exceed the highest.
_ROUND_UP = 1 + 2**-8
# Numbers that are quantized at a time, so that their fp32 form stays in cache.
_CHUNK_SIZE = 2**18


class Int8Linear(nn.Module):
    """`activation(x W^T + b)` of bf16 `x`, the product in integers, by oneDNN on a CPU."""

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
        FAST_PATH_CALLS["int8 linear"] += 1
        codes_TI, scale_T1 = quantize_uint8(x_TI)
        y_TO: Tensor = torch.ops.onednn.qlinear_pointwise(
            codes_TI, 1.0, _ZERO_CODE, self.weight, self.scale_O, self.zero_O, None,
            1.0, 0, x_TI.dtype, "none", [], "",
        )  # fmt: skip
        y_TO = y_TO.mul_(scale_T1) if self.bias is None else torch.addcmul(self.bias, y_TO, scale_T1, out=y_TO)
        return y_TO if self.activation is None else self.activation(y_TO)


def int8_codes(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of weights `[O, I]`, and fp32 scales `[O, 1]`; a row stands for itself times its scale."""
    scale_O1 = (weight_OI.detach().abs().amax(dim=1, keepdim=True).float() / _MAX_INT8).clamp_(min=MIN_SCALE)
    return (weight_OI.detach() / scale_O1).round_().to(torch.int8), scale_O1


def quantize_uint8(x_TI: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `[T, I]` from 1 to 255, where 128 is zero, and the scale `[T, 1]` of each token, in the dtype of x.

    The codes are made with the scale as it is rounded to that dtype: no more is lost.
    """
    scale_T1 = (x_TI.abs().amax(dim=1, keepdim=True).float() * (_ROUND_UP / _MAX_INT8)).clamp_(min=MIN_SCALE)
    scale_T1 = scale_T1.to(x_TI.dtype)
    codes_TI = torch.empty(x_TI.shape, dtype=torch.uint8)
    inverse_T1 = scale_T1.float().reciprocal_()
    middle = torch.tensor(_ZERO_CODE + 0.5)
    num_rows = max(1, _CHUNK_SIZE // x_TI.shape[1])
    for codes, x, inverse in zip(
        codes_TI.split(num_rows), x_TI.split(num_rows), inverse_T1.split(num_rows), strict=True
    ):
        # The conversion cuts off the fraction, which rounds to nearest with the half that is added.
        codes.copy_(torch.addcmul(middle, x, inverse))
    return codes_TI, scale_T1


def refuse_quantization(
    quantization: Quantization, device: torch.device, dtype: torch.dtype, shapes: Iterable[torch.Size]
) -> None:
    """Raise ValueError where layers of this dtype and these weights cannot be quantized on this device."""
    if dtype != torch.bfloat16:
        raise ValueError(f"{quantization} needs a trunk in bfloat16, found {dtype}; load it with dtype='bfloat16'")
    if quantization == "int8" and (device.type != "cpu" or not torch.cpu._is_vnni_supported()):
        found = "this one has none" if device.type == "cpu" else f"found the device {device}"
        raise ValueError(f"int8 needs a CPU with AVX-512 VNNI, {found}; use bfloat16, or float8 on a GPU")
    if quantization == "float8" and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability < (8, 9):
            found = ".".join(map(str, capability))
            raise ValueError(f"float8 needs a GPU of compute capability 8.9 or more, found {found}; use bfloat16")
    if quantization == "float8":
        unfit = [list(shape) for shape in shapes if any(size % FLOAT8_MULTIPLE for size in shape)]
        if unfit:
            raise ValueError(
                f"float8 needs layers whose sizes on a rank are multiples of {FLOAT8_MULTIPLE}, found a weight of "
                f"{unfit[0]}; use bfloat16, or another number of ranks"
            )
