"""What the hardware and the installed compilers support, and one process-wide switch of oneDNN."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from model.kernels.precision import without_autocast


def has_onednn_bf16(tensor: Tensor) -> bool:
    """Whether oneDNN multiplies this tensor in bf16: on a CPU, in that dtype, with AVX-512 or better."""
    return (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def has_amx() -> bool:
    """Whether this CPU has AMX tiles, with which products take half the time of AVX-512."""
    return bool(torch.cpu._is_amx_tile_supported())


@cache
def has_triton() -> bool:
    """Whether Triton kernels can be built: Triton comes with CUDA builds of torch and needs a C compiler."""
    has_compiler = shutil.which("gcc") is not None or shutil.which("clang") is not None
    return has_compiler and importlib.util.find_spec("triton") is not None


def runs_triton(device: torch.device) -> bool:
    """Whether the Triton kernels of this package run on a device; elsewhere torch calls do the same."""
    return device.type == "cuda" and has_triton()


@contextmanager
def exact_bf16_products() -> Iterator[None]:
    """Let oneDNN convert fp32 operands of products on the CPU to bf16 within this context.

    For operands that were converted from bf16 to get an fp32 result. Nothing is lost: a product of two bf16
    numbers has at most 16 bits, and sums are in fp32. CPUs with AMX use it; on others oneDNN takes its fp32
    kernel. The switch is process-wide, so no other thread may multiply meanwhile. Autocast, which would round the
    result to bf16, is off.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # the module is replaced by an object
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        with without_autocast(torch.device("cpu")):
            yield
    finally:
        matmul.fp32_precision = before
