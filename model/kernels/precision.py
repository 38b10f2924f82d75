"""Wider dtypes where precision matters: fp32 for half precision, and no autocast."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """fp32 for fp32 and half precision, float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


def widened(x: Tensor) -> Tensor:
    """Convert to `wide_dtype`."""
    return x.to(wide_dtype(x.dtype))


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """A context without autocast on this device, so that products keep the dtype of their operands."""
    kind = device.type
    is_on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if is_on else nullcontext()
