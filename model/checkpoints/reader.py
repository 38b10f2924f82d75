"""Read checkpoints in Hugging Face layout, each rank its own slices; report missing and unused tensors."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from model.checkpoints.errors import CheckpointError
from model.checkpoints.index_file import read_index
from model.checkpoints.tensor_files import TensorFile, open_tensor_file
from model.checkpoints.weight_files import find_weights
from model.parallel.shard import Shard

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "LoadReport",
    "StoredParameter",
    "canonical",
    "load_parameters",
    "parameters_of",
    "place_parameter",
]

# Buffers without weights that some versions of Transformers wrote.
_BUFFERS = re.compile(r"(^|\.)embeddings\.(position_ids|token_type_ids)$")


class Checkpoint:
    """The tensors of a directory with `model.safetensors` or `pytorch_model.bin`, or a sharded index of either.

    Names are compared without the prefix `roberta.`, so that a trunk can be loaded from a task model's files and
    the other way round. `weight_files` says which files are read and which are ignored; `unused` names the tensors
    that were not read.

    Raises CheckpointError: no weights, a damaged file, or an index that names a path outside the directory.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.weight_files = find_weights(self.directory)
        self._open_files: dict[Path, TensorFile] = {}
        self._used: set[str] = set()
        self._files = self._by_canonical_name(self._locate())

    def _by_canonical_name(self, located: dict[str, Path]) -> dict[str, tuple[str, Path]]:
        """Map the name without prefix to the stored name and the file of each tensor."""
        files: dict[str, tuple[str, Path]] = {}
        for name, file in located.items():
            if canonical(name) in files:
                raise CheckpointError(f"{self.directory} holds both {files[canonical(name)][0]} and {name}")
            files[canonical(name)] = (name, file)
        return files

    def _locate(self) -> dict[str, Path]:
        """Map the stored name of each tensor to the file that holds it."""
        path = self.weight_files.path
        if self.weight_files.is_index:
            return self._read_index(path)
        return dict.fromkeys(self._open(path).names, path)

    def _read_index(self, index: Path) -> dict[str, Path]:
        entries = read_index(index)
        for file in sorted(set(entries.values())):
            if not (self.directory / file).is_file():
                raise CheckpointError(f"{index} names {file}, which is not there; download it again")
        stored = {file: set(self._open(self.directory / file).names) for file in set(entries.values())}
        for name, file in entries.items():
            if name not in stored[file]:
                raise CheckpointError(f"{index} places tensor {name} in {file}, which does not hold it")
        return {name: self.directory / file for name, file in entries.items()}

    def __contains__(self, name: str) -> bool:
        return canonical(name) in self._files

    @property
    def files(self) -> list[Path]:
        """The files that hold tensors."""
        return sorted({file for _, file in self._files.values()})

    @property
    def unused(self) -> list[str]:
        """Stored names of tensors that were not read; buffers without weights are left out."""
        names = (stored for name, (stored, _) in self._files.items() if name not in self._used)
        return sorted(name for name in names if not _BUFFERS.search(name))

    def mark_used(self, names: Iterable[str]) -> None:
        """Count these tensors as read, since they are other names of a tensor that was read."""
        self._used.update(canonical(name) for name in names)

    def leave_out(self, names: Iterable[str]) -> None:
        """Ignore these tensors from here on: they are neither found nor reported as unused."""
        for name in names:
            del self._files[canonical(name)]

    @property
    def names(self) -> list[str]:
        """Stored names of all tensors; buffers without weights are left out."""
        return [stored for stored, _ in self._files.values() if not _BUFFERS.search(stored)]

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor."""
        stored_name, file = self._files[canonical(name)]
        return self._open(file).shape(stored_name)

    def dtype(self, name: str) -> str:
        """Stored dtype of a tensor, as "float32"."""
        stored_name, file = self._files[canonical(name)]
        return self._open(file).dtype(stored_name)

    def location(self, name: str) -> tuple[str, Path]:
        """Stored name of a tensor, and its file."""
        return self._files[canonical(name)]

    def require_shape(self, name: str, full_shape: torch.Size) -> None:
        """Raise CheckpointError if a tensor is stored with another shape."""
        stored_name, file = self.location(name)
        found = self.shape(name)
        if found != list(full_shape):
            raise CheckpointError(f"{file}: tensor {stored_name} must be {list(full_shape)}, found {found}")

    def read(self, name: str, shard: Shard | None = None) -> Tensor:
        """One tensor, or this rank's slice of it, in the stored dtype; a view of the mapped file."""
        stored_name, file = self._files[canonical(name)]
        self._used.add(canonical(name))
        return self._open(file).read(stored_name, shard)

    def _open(self, file: Path) -> TensorFile:
        if file not in self._open_files:
            self._open_files[file] = open_tensor_file(file)
        return self._open_files[file]


def canonical(name: str) -> str:
    """A tensor's name without the prefix that task models put before the trunk's."""
    return name.removeprefix("roberta.")


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
        """The name to read it under, or None if the checkpoint has none of them.

        The bias of the LM head is read under the name that Transformers reads it under, where both are there.
        """
        names = [name for name in self.names if name in checkpoint]
        return next((name for name in names if name == "lm_head.decoder.bias"), names[0] if names else None)

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
