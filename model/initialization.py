"""Random initialisation: the same numbers for a seed whatever the number of ranks."""

import zlib

import torch
from torch import Tensor, nn

from model.checkpoint import parameters_of, place_parameter


def initialize_parameters(
    module: nn.Module,
    *,
    initializer_range: float,
    dtype: torch.dtype | None = None,
    device: str = "cpu",
) -> list[str]:
    """Give every parameter that is on the meta device its initial value: normal weights, zero biases.

    Each tensor is drawn whole from a generator of its own, seeded by the global torch seed and the tensor's
    name, and then cut: ranks that were seeded alike agree on replicated tensors and hold slices of one model.

    Returns:
        names of the parameters that were initialised.
    """
    base_seed = int(torch.randint(2**31, (1,)))
    names = []
    for entry in parameters_of(module):
        if not entry.parameter.is_meta:
            continue
        owner, attribute, name = entry.places[0]
        generator = torch.Generator().manual_seed(base_seed + zlib.crc32(name.encode()))
        tensor = _initial_value(owner, attribute, entry.full_shape, initializer_range, generator)
        if entry.shard is not None:
            tensor = tensor.narrow(entry.shard.dim, entry.shard.start, entry.shard.stop - entry.shard.start)
        place_parameter(entry, tensor.to(device=device, dtype=dtype or torch.get_default_dtype()).contiguous())
        names.append(name)
    return names


def _initial_value(
    owner: nn.Module, attribute: str, shape: torch.Size, std: float, generator: torch.Generator
) -> Tensor:
    if attribute == "bias":
        return torch.zeros(shape)
    if isinstance(owner, nn.LayerNorm):
        return torch.ones(shape)
    tensor = torch.empty(shape).normal_(std=std, generator=generator)
    padding_idx: int | None = getattr(owner, "padding_idx", None)
    if padding_idx is not None:
        tensor[padding_idx] = 0.0
    return tensor
