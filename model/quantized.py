"""Linear layers of eight-bit products: weights quantized once, with a scale a row; inputs as they come, with a
scale a token, so that no sequence's result depends on its neighbours.

Scales are symmetric, `max |x| / highest code`. int8 is for CPUs with AVX-512 VNNI, where a product takes half the
time of bf16; float8 (e4m3) for GPUs of compute capability 8.9 or more.

Shape suffixes: T packed tokens, I input features, O output features.
"""

import shutil
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, Literal

import torch
from torch import Tensor, nn

from model.config import Activation
from model.fast_paths import FAST_PATH_CALLS

Quantization = Literal["int8", "float8"]
QUANTIZATIONS: Final[tuple[Quantization, ...]] = ("int8", "float8")

_MAX_INT8 = 127
_MAX_FLOAT8 = torch.finfo(torch.float8_e4m3fn).max
# oneDNN's VNNI kernels take unsigned inputs, so zero is this code; signed ones fall to its reference, which is
# thousands of times slower.
_ZERO_CODE = 128
# Rounding to bf16 may lower a scale by this share, and a code must not exceed the highest.
_ROUND_UP = 1 + 2**-8
# Numbers that are quantized at a time, so that their fp32 form stays in cache.
_CHUNK_SIZE = 2**18
# The smallest scale: rows of zeros have one, too.
_MIN_SCALE = 1e-30
# Float8 products want sizes that are multiples of this.
FLOAT8_MULTIPLE = 16


class Int8Linear(nn.Module):
    """`activation(x W^T + b)` of bf16 `x`, the product in integers, by oneDNN on a CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.activation = activation
        scale_O1 = (weight.detach().abs().amax(dim=1, keepdim=True).float() / _MAX_INT8).clamp_(min=_MIN_SCALE)
        codes_OI = (weight.detach() / scale_O1).round_().to(torch.int8)
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


def quantize_uint8(x_TI: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `[T, I]` from 1 to 255, where 128 is zero, and the scale `[T, 1]` of each token, in the dtype of x.

    The codes are made with the scale as it is rounded to that dtype: no more is lost.
    """
    scale_T1 = (x_TI.abs().amax(dim=1, keepdim=True).float() * (_ROUND_UP / _MAX_INT8)).clamp_(min=_MIN_SCALE)
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


class Float8Linear(nn.Module):
    """`activation(x W^T + b)` of bf16 `x` by products of float8 codes, with a scale a row; on a CPU emulated.

    Sizes are multiples of `FLOAT8_MULTIPLE`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.activation = activation
        self.quantize = float8_quantizer(weight.device)
        codes_OI, scale_O1 = quantize_float8(weight.detach())
        self.weight = nn.Parameter(codes_OI, requires_grad=False)
        self.scale_1O = nn.Parameter(scale_O1.t(), requires_grad=False)

    def forward(self, x_TI: Tensor) -> Tensor:
        """`[T, in_features]` to `[T, out_features]`, bf16."""
        FAST_PATH_CALLS["float8 linear"] += 1
        multiply = scaled_product if x_TI.is_cuda else emulated_scaled_product
        y_TO = multiply(*self.quantize(x_TI), self.weight.t(), self.scale_1O, self.bias)
        return y_TO if self.activation is None else self.activation(y_TO)


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


def quantize_float8(x_TI: Tensor) -> tuple[Tensor, Tensor]:
    """Codes `[T, I]` in e4m3, and the scale `[T, 1]` of each row, fp32."""
    scale_T1 = (x_TI.abs().amax(dim=1, keepdim=True).float() / _MAX_FLOAT8).clamp_(min=_MIN_SCALE)
    return (x_TI / scale_T1).to(torch.float8_e4m3fn), scale_T1


Float8Quantizer = Callable[[Tensor], tuple[Tensor, Tensor]]


def float8_quantizer(device: torch.device) -> Float8Quantizer:
    """`quantize_float8` as it is fastest: on a GPU compiled, if there is a C compiler, which torch's needs."""
    if device.type == "cuda" and (shutil.which("gcc") or shutil.which("clang")):
        return compiled_float8_quantizer()
    return quantize_float8


@cache
def compiled_float8_quantizer() -> Float8Quantizer:
    """`quantize_float8` as one kernel for all sizes, which passes once over what the plain one reads six times."""
    compiled: Float8Quantizer = torch.compile(quantize_float8, dynamic=True, fullgraph=True)

    def quantize(x_TI: Tensor) -> tuple[Tensor, Tensor]:
        FAST_PATH_CALLS["compiled float8 codes"] += 1
        return compiled(x_TI)

    return quantize


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
