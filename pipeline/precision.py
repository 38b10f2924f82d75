"""What `model.dtype` means to a rank: the dtype of its weights, and in what the layers multiply."""

from dataclasses import dataclass
from typing import Self

import torch

from model.inference.int8_linear import QUANTIZATIONS, Quantization


@dataclass(frozen=True)
class Precision:
    """Dtype of weights and states; quantization of the layers' products, if any."""

    dtype: torch.dtype
    quantization: Quantization | None = None

    @classmethod
    def named(cls, name: str) -> Self:
        """Of a resolved `model.dtype`: a dtype of torch, "int8" or "float8"."""
        quantization = next((q for q in QUANTIZATIONS if q == name), None)
        return cls(getattr(torch, name) if quantization is None else torch.bfloat16, quantization)
