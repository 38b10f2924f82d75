"""Random initialisation, which depends on the seed but not on the number of ranks."""

import zlib

import torch
from torch import Tensor, nn

from model.checkpoints.parameters import parameters_of, place_parameter
from model.parallel.group import ShardGroup


def initialize_parameters(
    module: nn.Module,
    *,
    initializer_range: float,
    group: ShardGroup,
    dtype: torch.dtype | None = None,
    device: str = "cpu",
) -> list[str]:
    """Initialise every parameter on the meta device: normal weights, zero biases.

    Each full tensor is drawn from its own generator and then sliced, so that the ranks hold slices of one model.
    The seed is made of the tensor's name and a number that rank 0 draws from torch's default generator.

    Returns:
        names of the parameters that were initialised.
    """
    entries = [entry for entry in parameters_of(module) if entry.parameter.is_meta]
    if not entries:
        return []
    base_seed = group.common_seed()
    names = []
    for entry in entries:
        owner, attribute, name = entry.places[0]
        generator = torch.Generator("cpu").manual_seed(base_seed + zlib.crc32(name.encode()))
        tensor = _initial_value(owner, attribute, entry.full_shape, initializer_range, generator)
        if entry.shard is not None:
            tensor = entry.shard.cut(tensor)
        place_parameter(entry, tensor.to(device=device, dtype=dtype or torch.get_default_dtype()).contiguous())
        names.append(name)
    return names


def _initial_value(
    owner: nn.Module, attribute: str, shape: torch.Size, std: float, generator: torch.Generator
) -> Tensor:
    """Drawn on the CPU, so that a seed gives the same numbers on every device."""
    if attribute == "bias":
        return torch.zeros(shape, device="cpu")
    if isinstance(owner, nn.LayerNorm):
        return torch.ones(shape, device="cpu")
    tensor = torch.empty(shape, device="cpu").normal_(std=std, generator=generator)
    padding_idx: int | None = getattr(owner, "padding_idx", None)
    if padding_idx is not None:
        tensor[padding_idx] = 0.0
    return tensor
