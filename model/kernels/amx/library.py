"""The shared library of the kernels: built by gcc on first use, kept in the user's cache, called on tensors."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from model.kernels.hardware import has_amx, has_onednn_bf16

_SOURCES = sorted(Path(__file__).parent.glob("*.[ch]"))
# What every CPU with AMX has.
_FLAGS = (
    *("-O3", "-shared", "-fPIC", "-fopenmp", "-mfma", "-mtune=sapphirerapids"),
    *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16"),
    *("-mamx-tile", "-mamx-bf16", "-mamx-int8"),
)


def runs_amx_kernels(tensor: Tensor) -> bool:
    """Whether the kernels run for this device and dtype: bf16 on a CPU with AMX, built by gcc 11 or later."""
    return has_onednn_bf16(tensor) and has_amx() and _library() is not None


@cache
def _library() -> ctypes.CDLL | None:
    """The library; None without gcc, if building or loading fails (with a warning), or if AMX is denied."""
    try:
        library = _load()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        warnings.warn(
            "layers run without tiles, more slowly: gcc could not build their kernels, which takes gcc 11 or "
            f"later, the headers of the C library, and room on disk. Found: {reason}",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return library if library is not None and library.request_tiles() == 0 else None


def _load() -> ctypes.CDLL | None:
    try:
        directory = cache_directory()
        if not (directory / _library_name()).exists() and shutil.which("gcc") is None:
            return None
        return ctypes.CDLL(str(build(directory)))
    except (OSError, RuntimeError):
        # No home directory, or not writable: build it for this process only.
        with tempfile.TemporaryDirectory() as apart:
            return ctypes.CDLL(str(build(Path(apart))))


def cache_directory() -> Path:
    """The directory that keeps the library between processes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xlmr-ray"


def build(directory: Path) -> Path:
    """Build the library into a directory under a temporary name and rename it, unless it is there already.

    Raises:
        subprocess.CalledProcessError: gcc fails; its message is `stderr`.
    """
    library = directory / _library_name()
    if library.exists():
        return library
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as apart:
        built = Path(apart) / library.name
        units = [str(source) for source in _SOURCES if source.suffix == ".c"]
        command = ["gcc", *_FLAGS, "-o", str(built), *units, "-lm"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        built.replace(library)
    return library


def _library_name() -> str:
    """A name that changes with the sources and the flags."""
    content = b"".join(source.read_bytes() for source in _SOURCES) + " ".join(_FLAGS).encode()
    return f"amx-{hashlib.sha256(content).hexdigest()[:16]}.so"


def call(kernel: str, *arguments: Tensor | int | float | None) -> None:
    """Call a kernel with as many threads as torch uses.

    Args:
        arguments: tensors are passed as pointers (None as NULL), int as `long`, float as `float`.
    """
    library = _library()
    assert library is not None
    library[kernel](*(_argument(a) for a in arguments), ctypes.c_long(torch.get_num_threads()))


def _argument(value: Tensor | int | float | None) -> ctypes.c_void_p | ctypes.c_long | ctypes.c_float:
    if isinstance(value, Tensor):
        assert value.device.type == "cpu"
        assert value.is_contiguous()
        return ctypes.c_void_p(value.data_ptr())
    if value is None:
        return ctypes.c_void_p(None)
    return ctypes.c_float(value) if isinstance(value, float) else ctypes.c_long(value)
