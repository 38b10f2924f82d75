"""Choose the weight files of a directory in the order of Transformers, or describe what it contains instead."""

from dataclasses import dataclass, field
from pathlib import Path

from model.checkpoints.errors import CheckpointError
from model.checkpoints.tensor_files import (
    INDEX_FILE,
    PICKLED_FILE,
    PICKLED_INDEX_FILE,
    SINGLE_FILE,
)

# The first that exists is read. A single file precedes an index, since Transformers may leave the index of an
# earlier checkpoint behind.
WEIGHT_FILES = (SINGLE_FILE, INDEX_FILE, PICKLED_FILE, PICKLED_INDEX_FILE)
INDEX_FILES = (INDEX_FILE, PICKLED_INDEX_FILE)
_ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin", "adapter_config.json")
_OTHER_FRAMEWORKS = ("tf_model.h5", "model.ckpt.index", "flax_model.msgpack")
_HPARAMS_FILE = "hparams.yaml"
_MAX_SHOWN = 8


@dataclass(frozen=True)
class WeightFiles:
    """The weight files of a directory.

    Attributes:
        path: the single file, or the index of several.
        passed_over: names of other weight files, which are not read.
    """

    path: Path
    passed_over: list[str] = field(default_factory=list)

    @property
    def is_index(self) -> bool:
        """Whether `path` is an index of several files."""
        return self.path.name in INDEX_FILES

    @property
    def notice(self) -> str | None:
        """A message about weight files that are not read; None if there are none."""
        if not self.passed_over:
            return None
        return f"weights are read from {self.path.name}; passed over: {', '.join(self.passed_over)}"


def find_weights(directory: Path) -> WeightFiles:
    """The files to read, in the order of `modeling_utils.from_pretrained` of Transformers 4.46.

    Raises CheckpointError: there are no weight files; the message says what is there instead.
    """
    found = [name for name in WEIGHT_FILES if (directory / name).is_file()]
    if not found:
        raise CheckpointError(
            f"{directory}: expected {SINGLE_FILE} or {PICKLED_FILE}, or an index ({INDEX_FILE}, "
            f"{PICKLED_INDEX_FILE}); {describe_contents(directory)}"
        )
    broken = [f"{name} (a link that leads nowhere)" for name in _broken_links(directory)]
    return WeightFiles(directory / found[0], [*broken, *found[1:]])


def describe_contents(directory: Path) -> str:
    """Describe a directory without a checkpoint, with a remedy for known kinds of directories."""
    if not directory.is_dir():
        return "found no such directory"
    names = sorted(path.name for path in directory.iterdir())
    if adapters := [name for name in _ADAPTER_FILES if name in names]:
        return (
            f"found {adapters[0]}, an adapter (LoRA) without its model; merge it into the model with PEFT "
            "(merge_and_unload), and save that"
        )
    if _HPARAMS_FILE in names:
        return (
            f"found {_HPARAMS_FILE}, as COMET checkpoints have; convert it with xlmr-convert, and name the result"
        )
    if broken := _broken_links(directory):
        return f"found {broken[0]}, a link that leads nowhere; download it again"
    shards = [name for name in names if name.startswith(("model-", "pytorch_model-"))]
    if shards and not set(WEIGHT_FILES) & set(names):
        return f"found {shards[0]} without an index; download the index, too"
    if others := [name for name in _OTHER_FRAMEWORKS if name in names]:
        return f"found {others[0]}, weights of another framework; save them from PyTorch"
    if inner := sorted(file.parent.name for file in directory.glob("*/config.json")):
        return f"found a checkpoint in its folder {inner[0]}; name that one"
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return f"found {', '.join(names[:_MAX_SHOWN]) or 'nothing'}{more}"


def _broken_links(directory: Path) -> list[str]:
    return [name for name in WEIGHT_FILES if (directory / name).is_symlink() and not (directory / name).exists()]
