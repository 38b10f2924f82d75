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
    """Whether this CPU multiplies tiles in hardware, which makes products twice as fast as AVX-512 does."""
    return bool(torch.cpu._is_amx_tile_supported())


@cache
def has_triton() -> bool:
    """Whether kernels in Triton can be built: CUDA builds of torch bring it, and it asks for a C compiler."""
    has_compiler = shutil.which("gcc") is not None or shutil.which("clang") is not None
    return has_compiler and importlib.util.find_spec("triton") is not None


def runs_triton(device: torch.device) -> bool:
    """Whether this package's own GPU kernels run on a device; where they do not, torch's calls do the same."""
    return device.type == "cuda" and has_triton()


@contextmanager
def exact_bf16_products() -> Iterator[None]:
    """Within, oneDNN multiplies fp32 matrices on the CPU, and may take their elements for bf16.

    For operands that came from bf16 and are fp32 to get an fp32 result: no bit of them is lost, a product of
    two has at most 16 bits and is exact in fp32, and sums are kept in fp32. CPUs with AMX then use it; others
    take oneDNN's fp32 kernel. The switch is the process's own: nothing else may multiply meanwhile.
    Autocast is off within: it would round the result to bf16.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # the module is replaced by an object
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        with without_autocast(torch.device("cpu")):
            yield
    finally:
        matmul.fp32_precision = before
