"""Files of named tensors: safetensors, and the pickled `.bin` files of older checkpoints.

Both are mapped into memory: tensors are views, and only pages that are copied from are read.
"""

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from model.checkpoints.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from model.parallel.shard import Shard

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLED_FILE = "pytorch_model.bin"
PICKLED_INDEX_FILE = "pytorch_model.bin.index.json"

# The pages of a mapped file that were read count as resident memory of the process. So the file is mapped anew
# after this many bytes; the old mapping is freed with the last view of it.
MAX_MAPPED_BYTES = 2**28
_DTYPE_NAMES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class StoredTensors(Protocol):
    """Names and shapes of stored tensors, in any file format."""

    @property
    def names(self) -> list[str]:
        """Stored names, in the order of the file."""

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor."""


class TensorFile(StoredTensors, Protocol):
    """One open file."""

    def dtype(self, name: str) -> str:
        """Stored dtype of a tensor, as "float32"; of quantized ones the name in the file, as "I8"."""

    def read(self, name: str, shard: "Shard | None" = None) -> "Tensor":
        """A tensor or a slice of it in the stored dtype, as a view of the mapped file."""

    def bits(self, name: str) -> NDArray[np.unsignedinteger]:
        """The bits of a tensor as integers `[number of elements]`, as a view of the mapped file."""


class SafetensorsFile:
    """A `.safetensors` file, as a `TensorFile`.

    Raises CheckpointError: it cannot be read, or is shorter than its header says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The header is read without torch, which takes a second to load.
        self._header = self._open("np")
        self._file: Any = None
        self._num_read_bytes = 0
        self._places: tuple[dict[str, Any], int] | None = None

    def _open(self, framework: str) -> Any:
        try:
            return safe_open(self._path, framework=framework)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{self._path} is not a readable safetensors file (truncated?): {error}"
            ) from error

    @property
    def names(self) -> list[str]:
        """Stored names, in the order of the file."""
        return list(self._header.keys())

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor."""
        return self._header.get_slice(name).get_shape()

    def dtype(self, name: str) -> str:
        """Stored dtype of a tensor."""
        dtype: str = self._header.get_slice(name).get_dtype()
        return _DTYPE_NAMES.get(dtype, dtype)

    def read(self, name: str, shard: "Shard | None" = None) -> "Tensor":
        """A tensor, or a slice of it, as a view of the file."""
        if self._file is None or self._num_read_bytes > MAX_MAPPED_BYTES:
            self._file, self._num_read_bytes = self._open("pt"), 0
        stored = self._file.get_slice(name)
        if shard is None or shard.size == shard.full_size:
            tensor = stored[...]
        else:
            tensor = stored[(slice(None),) * shard.dim + (slice(shard.start, shard.stop),)]
        self._num_read_bytes += tensor.nbytes
        return tensor

    def bits(self, name: str) -> NDArray[np.unsignedinteger]:
        """The bits of a tensor, in a mapping of its own."""
        if self._places is None:
            self._places = _safetensors_header(self._path)
        header, data = self._places
        begin, end = header[name]["data_offsets"]
        num_elements = math.prod(header[name]["shape"])
        if num_elements == 0:
            return np.empty(0, dtype=np.uint8)
        dtype = np.dtype(f"<u{(end - begin) // num_elements}")
        return np.memmap(self._path, dtype, mode="r", offset=data + begin, shape=num_elements)


def _safetensors_header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header of a file, and where the data begins.

    Format: https://github.com/huggingface/safetensors#format
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(size)), 8 + size


class PickledFile:
    """A `.bin` file of `torch.save`, as a `TensorFile`; only tensors are accepted.

    Raises CheckpointError: it cannot be read, or holds anything but named tensors.
    """

    def __init__(self, path: Path) -> None:
        # Imported here, as it loads torch.
        from model.checkpoints.torch_file import load_pickle, named_tensors  # noqa: PLC0415

        self._tensors = named_tensors(path, load_pickle(path))

    @property
    def names(self) -> list[str]:
        """Stored names, in the order of the file."""
        return list(self._tensors)

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor."""
        return list(self._tensors[name].shape)

    def dtype(self, name: str) -> str:
        """Stored dtype of a tensor."""
        return str(self._tensors[name].dtype).removeprefix("torch.")

    def read(self, name: str, shard: "Shard | None" = None) -> "Tensor":
        """A tensor, or a slice of it, as a view of the file."""
        tensor = self._tensors[name]
        return tensor if shard is None else shard.cut(tensor)

    def bits(self, name: str) -> NDArray[np.unsignedinteger]:
        """The bits of a tensor; a copy unless its elements are in order."""
        import torch  # noqa: PLC0415

        tensor = self._tensors[name].detach().contiguous().view(-1)
        return tensor.view(torch.uint8).numpy().view(f"u{tensor.itemsize}")


def open_tensor_file(path: Path) -> TensorFile:
    """Open a `.safetensors` file, or a pickled one with any other suffix.

    Raises CheckpointError: it cannot be read; the message says if it is a Git LFS pointer.
    """
    try:
        return SafetensorsFile(path) if path.suffix == ".safetensors" else PickledFile(path)
    except CheckpointError:
        if _is_lfs_pointer(path):
            raise CheckpointError(
                f"{path} is a pointer of Git LFS and not the weights; run git lfs pull there"
            ) from None
        raise


def _is_lfs_pointer(path: Path) -> bool:
    """Whether this is the small text file that cloning without Git LFS leaves in place of a large file."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER
    return False
