"""Write checkpoints in Hugging Face layout, in one file or several, with one tensor in memory at a time."""

import json
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.checkpoints.tensor_files import INDEX_FILE, SINGLE_FILE

DEFAULT_MAX_SHARD_SIZE = "5GB"
_DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SHARD_FILE = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and dtype of a tensor to write."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Size in the file."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def write_checkpoint(
    directory: Path,
    specs: list[TensorSpec],
    read: Callable[[str], Tensor],
    *,
    max_shard_size: int | str = DEFAULT_MAX_SHARD_SIZE,
    is_writer: bool = True,
) -> None:
    """Write `model.safetensors`, or several files and `model.safetensors.index.json`.

    Files are written under temporary names and then renamed; files of an earlier checkpoint are removed.

    Args:
        read: returns a tensor by name, just before it is written; it is converted to the dtype of its spec.
        max_shard_size: maximum bytes per file, as a number or as "500MB"; a larger tensor gets its own file.
        is_writer: False on ranks that take part in `read` but do not write.

    Raises ValueError: a size that cannot be understood.
    """
    files = plan_files(specs, parse_size(max_shard_size))
    if not is_writer:
        for spec in specs:
            read(spec.name)
        return
    directory.mkdir(parents=True, exist_ok=True)
    try:
        for file, members in files.items():
            write_safetensors(directory / f"{file}.tmp", members, (read(spec.name) for spec in members))
    except BaseException:
        for file in files:
            (directory / f"{file}.tmp").unlink(missing_ok=True)
        raise
    _rename_over_old(directory, files)
    if len(files) > 1:
        index = {
            "metadata": {"total_size": sum(spec.num_bytes for spec in specs)},
            "weight_map": {spec.name: file for file, members in files.items() for spec in members},
        }
        (directory / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _rename_over_old(directory: Path, files: Iterable[str]) -> None:
    """Remove the files of an earlier checkpoint, and give the new ones their names."""
    for stale in directory.iterdir():
        if stale.name in (SINGLE_FILE, INDEX_FILE) or _SHARD_FILE.fullmatch(stale.name):
            stale.unlink()
    for file in files:
        (directory / f"{file}.tmp").replace(directory / file)


def plan_files(specs: list[TensorSpec], max_bytes: int) -> dict[str, list[TensorSpec]]:
    """Assign tensors to files, in order."""
    groups: list[list[TensorSpec]] = [[]]
    num_bytes = 0
    for spec in specs:
        if groups[-1] and num_bytes + spec.num_bytes > max_bytes:
            groups.append([])
            num_bytes = 0
        groups[-1].append(spec)
        num_bytes += spec.num_bytes
    if len(groups) == 1:
        return {SINGLE_FILE: groups[0]}
    return {f"model-{i:05}-of-{len(groups):05}.safetensors": group for i, group in enumerate(groups, start=1)}


def write_safetensors(path: Path, specs: list[TensorSpec], tensors: Iterable[Tensor]) -> None:
    """Write one file, tensor by tensor (format: https://github.com/huggingface/safetensors#format)."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for spec in specs:
        end = offset + spec.num_bytes
        header[spec.name] = {
            "dtype": _DTYPE_NAMES[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight bytes
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for spec, tensor in zip(specs, tensors, strict=True):
            assert tuple(tensor.shape) == spec.shape, (spec, tensor.shape)
            on_host = tensor.detach().to("cpu", spec.dtype).contiguous()
            on_host.flatten().view(torch.uint8).numpy().tofile(file)


def parse_size(size: int | str) -> int:
    """Parse a number of bytes, optionally with a unit: B, KB, MB, GB, TB, KiB, MiB or GiB."""
    if isinstance(size, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", size.strip())
        if match is None or match[2].upper() not in _UNITS:
            raise ValueError(f"max_shard_size must be a number of bytes or like '500MB', found {size!r}")
        size = int(float(match[1]) * _UNITS[match[2].upper()])
    if size < 1:
        raise ValueError(f"max_shard_size must be positive, found {size}")
    return size
