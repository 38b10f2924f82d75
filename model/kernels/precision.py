"""What has to be exact is computed in fp32 at least: in float64 for a float64 model, and outside of autocast."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """fp32 for fp32 and half precision, float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


def widened(x: Tensor) -> Tensor:
    """The same numbers in their `wide_dtype`."""
    return x.to(wide_dtype(x.dtype))


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Within, products on this device keep the dtype of their operands even where the caller has autocast on."""
    kind = device.type
    is_on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if is_on else nullcontext()
