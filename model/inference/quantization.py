"""Eight-bit quantization of the layers: its names, and checks that it is supported."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self

import torch

from model.kernels.float8 import FLOAT8_MULTIPLE

Quantization = Literal["int8", "float8"]
QUANTIZATIONS: Final[tuple[Quantization, ...]] = ("int8", "float8")


@dataclass(frozen=True)
class Precision:
    """The dtype of weights and activations, and the quantization of the layers' products, if any."""

    dtype: torch.dtype
    quantization: Quantization | None = None

    @classmethod
    def named(cls, name: str) -> Self:
        """Parse a dtype of torch, "int8" or "float8"; quantized layers compute the rest in bfloat16."""
        quantization = next((q for q in QUANTIZATIONS if q == name), None)
        return cls(getattr(torch, name) if quantization is None else torch.bfloat16, quantization)


def refuse_quantization(
    quantization: Quantization, device: torch.device, dtype: torch.dtype, shapes: Iterable[torch.Size]
) -> None:
    """Raise ValueError if layers of this dtype and these weights cannot be quantized on this device."""
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
