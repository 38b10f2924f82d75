"""Read files of `torch.save` without running code from them, within the memory that their size allows."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoints.errors import CheckpointError

_ZIP_MAGIC = b"PK\x03\x04"


def load_pickle(path: Path) -> Any:
    """Load a file of `torch.save`; tensors are mapped, not read.

    Raises CheckpointError: the file is damaged, or loading it would run code.
    """
    refuse_compressed_archive(path)
    try:
        # Files of torch < 1.6 are not zip archives and cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a plain file of tensors: it is damaged, or wants to run code, which is refused; "
            f"convert it where it is trusted ({_first_line(error)})"
        ) from error
    # The unpickler of torch lets through whatever a damaged pickle makes of its arguments.
    except Exception as error:
        raise CheckpointError(unreadable(path, error)) from error


def refuse_compressed_archive(path: Path) -> None:
    """Refuse a zip archive whose members would take more memory than the file has bytes.

    `torch.save` compresses nothing, so that members can be mapped. Files that are no archives pass.

    Raises CheckpointError: a member is compressed or overlaps another, two have one name, or the directory of the
        archive is damaged.
    """
    if not is_archive(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:
        raise CheckpointError(unreadable(path, error)) from error
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise CheckpointError(
                f"{path}: its member {member.filename[:80]!r} is compressed ({member.compress_size} bytes for "
                f"{member.file_size}), expected members as torch.save writes them; save the model again"
            )
    num_bytes = sum(member.file_size for member in members)
    if num_bytes > path.stat().st_size or len({member.filename for member in members}) < len(members):
        raise CheckpointError(
            f"{path} has {len(members)} members with {num_bytes} bytes, expected distinct ones with at most the "
            f"file's {path.stat().st_size}; download it again"
        )


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive, by which torch tells its two formats apart.

    Raises CheckpointError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    except OSError as error:
        raise CheckpointError(unreadable(path, error)) from error


def named_tensors(path: Path, state: Any) -> dict[str, Tensor]:
    """The tensors of a state dict that was read from `path`.

    Raises CheckpointError: it is no dictionary of plain tensors, or one of them is larger than its storage, as
        views of a few bytes can be.
    """
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} must hold a dictionary of tensors, found something else")
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise CheckpointError(f"{path} must name its tensors by strings, found {type(name).__name__}")
        is_plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not is_plain or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{path}: tensor {name[:200]} of shape {str(list(tensor.shape))[:80]} is sparse, quantized or "
                "larger than its storage, expected plain numbers; save the model again"
            )
    return dict(state)


def unreadable(path: Path, error: Exception) -> str:
    """The message for a file that is damaged in any way."""
    return f"{path} is not a readable torch file (truncated?): {type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]
