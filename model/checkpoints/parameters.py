"""Load the parameters of modules from a checkpoint; report missing and unused tensors."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.checkpoints.reader import Checkpoint, stored_name
from model.parallel.shard import Shard


@dataclass(frozen=True)
class LoadReport:
    """What loading found.

    Attributes:
        new: parameters that are missing in the checkpoint; they are initialised.
        unused: tensors of the checkpoint that the model does not have.
        mismatched: with `ignore_mismatched_sizes`, name, stored shape and expected shape of the tensors of another
            shape; they are initialised.
    """

    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, torch.Size, torch.Size]] = field(default_factory=list)


@dataclass
class StoredParameter:
    """A parameter, all modules and attributes that refer to it (several if it is tied), and its slice."""

    parameter: nn.Parameter
    places: list[tuple[nn.Module, str, str]]
    shard: Shard | None

    @property
    def names(self) -> list[str]:
        """The names that it may be stored under, one for each place."""
        return [name for _, _, name in self.places]

    @property
    def stored_names(self) -> list[str]:
        """The names to write it under: the first, and where Transformers looks for the bias of the LM head.

        Transformers loses `lm_head.bias` on loading.
        """
        return [name for i, name in enumerate(self.names) if i == 0 or name == "lm_head.decoder.bias"]

    def stored_name(self, checkpoint: Checkpoint) -> str | None:
        """The name to read it under, or None if the checkpoint has none of them."""
        return stored_name(self.names, checkpoint)

    @property
    def full_shape(self) -> torch.Size:
        """The shape of the whole parameter, of which this rank may hold a slice."""
        shape = list(self.parameter.shape)
        if self.shard is not None:
            shape[self.shard.dim] = self.shard.full_size
        return torch.Size(shape)


def parameters_of(module: nn.Module, prefix: str = "") -> list[StoredParameter]:
    """The distinct parameters of a module in the order of its modules; tied parameters once."""
    found: dict[int, StoredParameter] = {}
    for module_name, child in module.named_modules(prefix=prefix):
        shards: dict[str, Shard] = getattr(child, "shards", {})
        for attribute, parameter in child.named_parameters(recurse=False):
            name = f"{module_name}.{attribute}" if module_name else attribute
            entry = found.setdefault(id(parameter), StoredParameter(parameter, [], None))
            entry.places.append((child, attribute, name))
            entry.shard = shards.get(attribute, entry.shard)
    return list(found.values())


def shapes_of(module: nn.Module, prefix: str = "") -> dict[str, list[int]]:
    """Map every name that a parameter of the module may be stored under to the full shape."""
    return {name: list(entry.full_shape) for entry in parameters_of(module, prefix) for name in entry.names}


def load_parameters(
    module: nn.Module,
    checkpoint: Checkpoint,
    *,
    prefix: str = "",
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> list[str]:
    """Replace the parameters of `module` (made on the meta device) by this rank's slices of the checkpoint.

    Tensors are copied to `device` in `dtype` one at a time, so that a rank never holds more than its shard and one
    tensor.

    Args:
        prefix: the module's name in the checkpoint ("classifier", "lm_head").

    Returns:
        the names of parameters that are missing in the checkpoint, which are left alone. A missing parameter that
        is not on the meta device is assumed to be tied to one that is loaded already.
    """
    missing = []
    for entry in parameters_of(module, prefix):
        name = entry.stored_name(checkpoint)
        if name is None:
            if entry.parameter.is_meta:
                missing.append(entry.names[0])
            continue
        for tied in entry.names:
            if tied in checkpoint:
                checkpoint.require_shape(tied, entry.full_shape)
        checkpoint.mark_used(entry.names)
        if not entry.parameter.is_meta:
            continue
        tensor = checkpoint.read(name, entry.shard)
        # Copy, since what was read is a view of the mapped file.
        copied = tensor.to(device=device, dtype=dtype, copy=True, memory_format=torch.contiguous_format)
        place_parameter(entry, copied)
    return missing


def place_parameter(entry: StoredParameter, tensor: Tensor) -> None:
    """Replace the parameter by `tensor` in all modules that refer to it, which keeps ties."""
    parameter = nn.Parameter(tensor, requires_grad=entry.parameter.requires_grad)
    for module, attribute, _ in entry.places:
        setattr(module, attribute, parameter)
