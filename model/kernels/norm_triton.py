"""Fused row kernels in Triton: residual sum with LayerNorm, GELU, and float8 quantization.

A program reads one row once and keeps it in registers, where torch calls would pass several times over it. Triton
(https://triton-lang.org) comes with CUDA builds of torch.

Shape suffixes: T packed tokens, D hidden, I input features.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from model.kernels.float8 import MAX_FLOAT8, MIN_SCALE, Codes

# 32 numbers of a row per thread (measured).
_NUMBERS_PER_WARP = 32 * 32


def triton_add_norm(hidden_TD: Tensor, added_TD: Tensor | None, norm: nn.LayerNorm) -> Tensor:
    """`norm(hidden + added)`, `[T, D]`; `hidden` is overwritten by the sum."""
    normed_TD = torch.empty_like(hidden_TD)
    _add_norm(hidden_TD, added_TD, norm, normed_TD, None)
    return normed_TD


def add_norm_codes(hidden_TD: Tensor, added_TD: Tensor | None, norm: nn.LayerNorm) -> Codes:
    """float8 codes of `norm(hidden + added)`; `hidden` is overwritten by the sum."""
    codes = _empty_codes(hidden_TD)
    _add_norm(hidden_TD, added_TD, norm, codes.rows, codes.scale)
    return codes


def float8_codes(x_TI: Tensor, *, is_gelu: bool = False) -> Codes:
    """float8 codes of `x`, or of its GELU (by erf). Rows that are not finite have codes that are not."""
    assert x_TI.is_contiguous()
    num_rows, width = x_TI.shape
    pieces = two_pieces(width)
    codes = _empty_codes(x_TI)
    with torch.cuda.device_of(x_TI):
        _codes_kernel[(num_rows,)](
            x_TI,
            codes.rows,
            codes.scale,
            MAX_FLOAT8,
            MIN_SCALE,
            width,
            *pieces,
            IS_GELU=is_gelu,
            num_warps=_num_warps(pieces[0]),
        )
    return codes


def _add_norm(
    hidden_TD: Tensor, added_TD: Tensor | None, norm: nn.LayerNorm, out_TD: Tensor, scale_T1: Tensor | None
) -> None:
    assert hidden_TD.is_contiguous()
    assert added_TD is None or added_TD.is_contiguous()
    num_rows, width = hidden_TD.shape
    block_size = triton.next_power_of_2(width)
    with torch.cuda.device_of(hidden_TD):
        _add_norm_kernel[(num_rows,)](
            hidden_TD,
            hidden_TD if added_TD is None else added_TD,
            norm.weight,
            norm.bias,
            out_TD,
            out_TD if scale_T1 is None else scale_T1,
            norm.eps,
            MAX_FLOAT8,
            MIN_SCALE,
            width,
            block_size,
            HAS_ADDED=added_TD is not None,
            MAKES_CODES=scale_T1 is not None,
            num_warps=_num_warps(block_size),
        )


def _empty_codes(x_TI: Tensor) -> Codes:
    return Codes(
        torch.empty_like(x_TI, dtype=torch.float8_e4m3fn),
        torch.empty(len(x_TI), 1, dtype=torch.float32, device=x_TI.device),
    )


def two_pieces(width: int) -> tuple[int, int]:
    """Block sizes for a width: its largest power of two, and the power of two that covers the rest, or 0."""
    size = 1 << (width.bit_length() - 1)
    return size, 0 if size == width else max(16, triton.next_power_of_2(width - size))


def _num_warps(block_size: int) -> int:
    return min(16, max(1, block_size // _NUMBERS_PER_WARP))


@triton.jit
def _add_norm_kernel(
    hidden,
    added,
    weight,
    bias,
    out,
    scale,
    eps,
    max_code,
    min_scale,
    WIDTH: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    HAS_ADDED: tl.constexpr,
    MAKES_CODES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK_SIZE)
    is_in = column < WIDTH
    place = row * WIDTH + column
    x = tl.load(hidden + place, mask=is_in, other=0.0).to(tl.float32)
    if HAS_ADDED:
        x += tl.load(added + place, mask=is_in, other=0.0).to(tl.float32)
        # Normalise the rounded sum, which is what is stored.
        rounded = x.to(hidden.dtype.element_ty)
        tl.store(hidden + place, rounded, mask=is_in)
        x = rounded.to(tl.float32)
    mean = tl.sum(x, axis=0) / WIDTH
    centred = tl.where(is_in, x - mean, 0.0)
    variance = tl.sum(centred * centred, axis=0) / WIDTH
    w = tl.load(weight + column, mask=is_in, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=is_in, other=0.0).to(tl.float32)
    normed = centred * tl.rsqrt(variance + eps) * w + b
    if MAKES_CODES:
        # Padding holds zeros.
        size = tl.maximum(tl.max(tl.abs(normed), axis=0) / max_code, min_scale)
        tl.store(scale + row, size)
        tl.store(out + place, (normed * (1.0 / size)).to(tl.float8e4nv), mask=is_in)
    else:
        tl.store(out + place, normed.to(out.dtype.element_ty), mask=is_in)


@triton.jit
def _codes_kernel(
    x_rows,
    out,
    scale,
    max_code,
    min_scale,
    WIDTH: tl.constexpr,
    SIZE: tl.constexpr,
    REST_SIZE: tl.constexpr,
    IS_GELU: tl.constexpr,
):
    """In two pieces, the second possibly empty, since padding would cost a GELU as well."""
    row = tl.program_id(0).to(tl.int64) * WIDTH
    place = row + tl.arange(0, SIZE)
    x = _activated(tl.load(x_rows + place), IS_GELU)
    largest = tl.max(tl.abs(x), axis=0)
    if REST_SIZE:
        column = SIZE + tl.arange(0, REST_SIZE)
        is_in = column < WIDTH
        rest = _activated(tl.load(x_rows + row + column, mask=is_in, other=0.0), IS_GELU)
        largest = tl.maximum(largest, tl.max(tl.abs(rest), axis=0))
    size = tl.maximum(largest / max_code, min_scale)
    tl.store(scale + tl.program_id(0), size)
    codes_per_unit = 1.0 / size
    tl.store(out + place, (x * codes_per_unit).to(tl.float8e4nv))
    if REST_SIZE:
        tl.store(out + row + column, (rest * codes_per_unit).to(tl.float8e4nv), mask=is_in)


@triton.jit
def _activated(x, IS_GELU: tl.constexpr):
    """GELU as `max(x, 0) - |x| / 2 erfc(|x| / sqrt(2))`, with an error of 3e-7, far below the last bit of a code.

    The polynomial approximates log2 of erfc over |x|, fitted up to 6. With an erf exact in fp32 the kernel would
    take 1.5 times as long (H100, rows of 10,240).
    """
    x = x.to(tl.float32)
    if IS_GELU:
        size = tl.abs(x)
        # The polynomial falls up to 9, where erfc is about 0, and would grow again beyond.
        within = tl.minimum(size, 9.0)
        power = within * 3.176158497808501e-05 - 0.0007532337331213057
        power = within * power + 0.008012969978153706
        power = within * power - 0.05328063666820526
        power = within * power - 0.458893358707428
        power = within * power - 1.1511510610580444
        x = tl.maximum(x, 0.0) - 0.5 * size * tl.exp2(within * power)
    return x
