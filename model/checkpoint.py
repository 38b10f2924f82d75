"""Reading checkpoints in Hugging Face layout: each rank reads its own slices, and everything is accounted for."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from model.layers import Shard

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# Buffers that some versions of Transformers wrote; they hold no weights.
_BUFFERS = re.compile(r"(^|\.)embeddings\.(position_ids|token_type_ids)$")


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or does not fit the model; the message names file and tensor."""


class Checkpoint:
    """The tensors of a directory with `model.safetensors` or a sharded index.

    Names are compared without the prefix `roberta.`, so that the trunk alone and a trunk within a task's
    model read each other's files. `unused` names what nobody has read.

    Raises:
        CheckpointError: no weights there, a damaged file, or an index that names a path outside the directory.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._files = {canonical(name): (name, file) for name, file in self._locate().items()}
        self._open_files: dict[Path, safe_open] = {}
        self._used: set[str] = set()

    def _locate(self) -> dict[str, Path]:
        """Stored name of every tensor, and the file that holds it."""
        index, single = self.directory / INDEX_FILE, self.directory / SINGLE_FILE
        if index.is_file():
            return self._read_index(index)
        if single.is_file():
            return dict.fromkeys(_tensor_names(single), single)
        raise CheckpointError(f"{self.directory}: expected {SINGLE_FILE} or {INDEX_FILE}, found neither")

    def _read_index(self, index: Path) -> dict[str, Path]:
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            entries = {str(name): str(file) for name, file in weight_map.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{index} must hold a JSON object with 'weight_map': {error!r}") from error
        for file in sorted(set(entries.values())):
            if Path(file).name != file:
                raise CheckpointError(f"{index} must name files of its own directory, found {file!r}")
            if not (self.directory / file).is_file():
                raise CheckpointError(f"{index} names {file}, which is not there; download it again")
        stored = {file: set(_tensor_names(self.directory / file)) for file in set(entries.values())}
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
        """Count these tensors as read: they are other names of one that was."""
        self._used.update(canonical(name) for name in names)

    def read(self, name: str, full_shape: torch.Size, shard: Shard | None) -> Tensor:
        """One tensor, or this rank's slice of it, in the stored dtype.

        Raises:
            CheckpointError: the stored shape is not `full_shape`.
        """
        stored_name, path = self._files[canonical(name)]
        stored = self._open(path).get_slice(stored_name)
        found = stored.get_shape()
        if found != list(full_shape):
            raise CheckpointError(f"{path}: tensor {stored_name} must be {list(full_shape)}, found {found}")
        self._used.add(canonical(name))
        if shard is None or shard.stop - shard.start == shard.full_size:
            return stored[...]
        index = (slice(None),) * shard.dim + (slice(shard.start, shard.stop),)
        return stored[index]

    def _open(self, path: Path) -> safe_open:
        if path not in self._open_files:
            self._open_files[path] = safe_open(path, framework="pt")
        return self._open_files[path]


def canonical(name: str) -> str:
    """A tensor's name without the prefix that task models put before the trunk's."""
    return name.removeprefix("roberta.")


def _tensor_names(file: Path) -> list[str]:
    try:
        with safe_open(file, framework="pt") as tensors:
            return list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is not a readable safetensors file (truncated?): {error}") from error


@dataclass(frozen=True)
class LoadReport:
    """What loading found.

    Attributes:
        new: parameters that the checkpoint does not hold; they are initialised.
        unused: tensors of the checkpoint that the model has no place for.
    """

    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


@dataclass
class _Parameter:
    """A parameter, every place where it hangs (tied weights have several), and its slice."""

    parameter: nn.Parameter
    places: list[tuple[nn.Module, str, str]]
    shard: Shard | None

    @property
    def names(self) -> list[str]:
        return [name for _, _, name in self.places]

    @property
    def full_shape(self) -> torch.Size:
        shape = list(self.parameter.shape)
        if self.shard is not None:
            shape[self.shard.dim] = self.shard.full_size
        return torch.Size(shape)


def parameters_of(module: nn.Module, prefix: str = "") -> list[_Parameter]:
    """The distinct parameters of a module, tied ones once, in the order of the modules."""
    found: dict[int, _Parameter] = {}
    for module_name, child in module.named_modules(prefix=prefix):
        shards: dict[str, Shard] = getattr(child, "shards", {})
        for attribute, parameter in child.named_parameters(recurse=False):
            name = f"{module_name}.{attribute}" if module_name else attribute
            entry = found.setdefault(id(parameter), _Parameter(parameter, [], None))
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

    One tensor at a time goes from the file to `device` in `dtype`, so that no rank ever holds more than its
    shard and one tensor.

    Args:
        prefix: the module's name in the checkpoint ("classifier", "lm_head").

    Returns:
        names of parameters that the checkpoint does not hold; they stay where they are. A parameter that is not
        on the meta device and not in the checkpoint is taken to be tied to one that is loaded already.
    """
    missing = []
    for entry in parameters_of(module, prefix):
        name = next((name for name in entry.names if name in checkpoint), None)
        if name is None:
            if entry.parameter.is_meta:
                missing.append(entry.names[0])
            continue
        checkpoint.mark_used(entry.names)
        if not entry.parameter.is_meta:
            continue
        tensor = checkpoint.read(name, entry.full_shape, entry.shard)
        place_parameter(entry, tensor.to(device=device, dtype=dtype))
    return missing


def place_parameter(entry: _Parameter, tensor: Tensor) -> None:
    """Put `tensor` wherever the parameter hangs, keeping ties."""
    parameter = nn.Parameter(tensor, requires_grad=entry.parameter.requires_grad)
    for module, attribute, _ in entry.places:
        setattr(module, attribute, parameter)
