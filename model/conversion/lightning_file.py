"""Read a checkpoint of PyTorch Lightning: a pickle of tensors and of whatever objects the training had.

Nothing that the pickle names is imported. Tensors are rebuilt here, from the mapped file; every other class or
function is replaced by a stand-in that keeps what it is given and does nothing. `torch.load` is no choice:
`weights_only` refuses the objects, and stand-ins that are put in their place may not be filled like dictionaries.
"""

import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from model.checkpoints.errors import CheckpointError
from model.checkpoints.torch_file import is_archive, refuse_compressed_archive, unreadable

_PICKLE = "data.pkl"
# As of a zip archive: the fixed part of a member's header, and where the lengths of its name and extra field are.
_HEADER_BYTES, _LENGTHS = 30, slice(26, 30)
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class StandIn:
    """Stands in for a class or function of the file, and for what it makes.

    Attributes:
        items: what it was filled with, as a dictionary.
    """

    items: dict[Any, Any]

    def __new__(cls, *_: object) -> Self:
        """An empty one; a pickle need not call the initialiser."""
        made = super().__new__(cls)
        made.items = {}
        return made

    def __call__(self, *_: object) -> "StandIn":
        return StandIn()

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: Any, value: object) -> None:
        self.items[key] = value

    def append(self, item: object) -> None:
        """Take an item of a list, and forget it."""

    add = append


def load_lightning_file(path: Path) -> dict[Any, Any]:
    """The dictionary in a checkpoint. Tensors are views of the mapped file; other objects are `StandIn`s.

    Raises CheckpointError: the file is damaged, or no zip archive, as torch writes them since version 1.6.
    """
    if not is_archive(path):
        raise CheckpointError(
            f"{path} must be a zip archive, as torch.save writes since torch 1.6; download it again, or save it "
            "anew with a newer torch"
        )
    refuse_compressed_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            name = next(name for name in members if name.endswith(f"/{_PICKLE}") and name.count("/") == 1)
            pickled = archive.read(name)
        _refuse_large_memo(pickled)
        found = _Unpickler(pickled, _Storages(path, members, name.removesuffix(_PICKLE))).load()
    # Damaged pickles raise errors of any kind.
    except Exception as error:
        raise CheckpointError(unreadable(path, error)) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} must hold a dictionary, found {type(found).__name__}")
    return found


def _refuse_large_memo(pickled: bytes) -> None:
    """Refuse an entry of the memo that the file is too short for, as the memo would be made that long."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "LONG_BINPUT" and isinstance(argument, int) and argument > len(pickled):
            raise ValueError(f"entry {argument} of the memo in a pickle of {len(pickled)} bytes")


class _Storages:
    """The numbers of the tensors, each storage a member of the archive."""

    def __init__(self, path: Path, members: dict[str, zipfile.ZipInfo], prefix: str) -> None:
        self._members = members
        self._prefix = prefix
        self._bytes = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)

    def read(self, key: str, dtype: torch.dtype, num_elements: int) -> Tensor:
        """The `[num_elements]` numbers of a storage."""
        member = self._members[f"{self._prefix}data/{key}"]
        header = bytes(self._bytes[member.header_offset :][:_HEADER_BYTES].tolist())
        begin = member.header_offset + _HEADER_BYTES + sum(struct.unpack("<HH", header[_LENGTHS]))
        num_bytes = num_elements * dtype.itemsize
        if not 0 <= num_bytes <= member.file_size or begin + member.file_size > len(self._bytes):
            raise ValueError(f"storage {key} has {member.file_size} bytes, expected {num_bytes}")
        return self._bytes[begin : begin + num_bytes].view(dtype)


class _Unpickler(pickle.Unpickler):
    """Makes tensors and plain values; everything else becomes a `StandIn`."""

    def __init__(self, pickled: bytes, storages: _Storages) -> None:
        super().__init__(BytesIO(pickled))
        self._storages = storages

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What takes the place of a class or function; nothing is imported."""
        match module_name, global_name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _tensor
            case "torch._utils", "_rebuild_parameter":
                return _data_of_parameter
            case "torch", name if name in _DTYPES:
                return _DTYPES[name]
        return StandIn

    def persistent_load(self, pid: Any) -> Tensor:
        """A storage, by the tuple that torch writes in its place."""
        kind, dtype, key, _, num_elements = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(num_elements, int):
            raise pickle.UnpicklingError("expected a storage of numbers")
        return self._storages.read(str(key), dtype, num_elements)


def _tensor(storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: object) -> Tensor:
    """A view of a storage."""
    steps = [step * (length - 1) for step, length in zip(stride, size, strict=True)]
    if min([offset, *size, *stride]) < 0 or (0 not in size and offset + sum(steps) >= len(storage)):
        raise ValueError(f"a tensor of shape {list(size)} does not fit in its storage of {len(storage)} numbers")
    return storage.as_strided(size, stride, storage.storage_offset() + offset)


def _data_of_parameter(data: Tensor, *_: object) -> Tensor:
    return data
