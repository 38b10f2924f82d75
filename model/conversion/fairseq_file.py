"""Read a file of fairseq: tensors, and the training configuration as pickled Python objects.

These objects are replaced by stand-ins without behaviour, so that no code of the file is run.
"""

import io
import mmap
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from model.checkpoints.errors import CheckpointError
from model.checkpoints.torch_file import is_archive, load_pickle, refuse_compressed_archive, unreadable

# The classes of the training configuration.
_CONFIGURATION = re.compile(r"^(?:argparse\.Namespace$|omegaconf\.|fairseq\.)")


class _StandIn:
    """Stands in for a class of the file: stores its arguments and state, and does nothing."""

    state: object = None

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, state: object) -> None:
        self.state = state


def load_fairseq_file(path: Path) -> Any:
    """The contents of a `model.pt`, with stand-ins for the objects of its training configuration.

    Raises CheckpointError: the file is damaged, or contains objects of other classes.
    """
    refuse_compressed_archive(path)
    try:
        names = sorted(name for name in _pickled_classes(path) if _CONFIGURATION.match(name))
    # Damaged opcodes raise errors of any kind.
    except Exception as error:
        raise CheckpointError(unreadable(path, error)) from error
    with torch.serialization.safe_globals([(_StandIn, name) for name in names]):
        return load_pickle(path)


def _pickled_classes(path: Path) -> Iterator[str]:
    """Full names of the classes and functions that a pickle refers to, without running it."""
    if is_archive(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("/data.pkl"):
                    yield from _global_names(io.BytesIO(archive.read(name)))
        return
    # Mapped, since reading as many bytes as a damaged length says from a file would allocate them all.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        # Before torch 1.6: magic number, protocol version, system, then the object itself.
        for _ in range(4):
            yield from _global_names(mapped)


def _global_names(file: Any) -> Iterator[str]:
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")


def stored_num_heads(state: Mapping[str, Any]) -> int | None:
    """Number of attention heads in the training configuration, under `cfg.model` or `args`."""
    for configuration in (_entry(state.get("cfg"), "model"), state.get("args")):
        heads = _entry(configuration, "encoder_attention_heads")
        if isinstance(heads, int):
            return heads
    return None


def _entry(container: Any, key: str) -> Any:
    """A value of a dictionary, of a Namespace, or of omegaconf's containers and nodes."""
    values = container.state if isinstance(container, _StandIn) else container
    if not isinstance(values, dict):
        return None
    content = values.get("_content")
    value = (content if isinstance(content, dict) else values).get(key)
    if isinstance(value, _StandIn) and isinstance(value.state, dict) and "_val" in value.state:
        return value.state["_val"]
    return value
