"""Directories of checkpoints: local ones, and repositories of the Hugging Face hub by their id.

Files of the hub come through `huggingface_hub` (the optional extra `hub`), which keeps them in its local cache and
finds them there without a network (`HF_HUB_OFFLINE=1`).
"""

import re
from pathlib import Path

from model.checkpoints.tensor_files import PICKLED_FILE, SINGLE_FILE, CheckpointError, read_index
from model.checkpoints.weight_files import INDEX_FILES, WEIGHT_FILES

CONFIG_FILE = "config.json"
TOKENIZER_FILES = (
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
)
# "name" or "organisation/name", as the hub allows them.
_HUB_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")


def is_hub_id(path: str | Path) -> bool:
    """Whether this names a repository of the hub: it is no existing path, and has the form of an id."""
    return isinstance(path, str) and not Path(path).exists() and _HUB_ID.fullmatch(path) is not None


def config_directory(path: str | Path, *, revision: str | None = None) -> Path:
    """The directory itself, or the cached one of a hub id, with `config.json` in it.

    Raises:
        CheckpointError: the hub id cannot be resolved; the message tells why.
    """
    if not is_hub_id(path):
        return Path(path)
    file = _download(str(path), CONFIG_FILE, revision)
    if file is None:
        raise CheckpointError(_not_there(str(path), CONFIG_FILE))
    return file.parent


def checkpoint_directory(path: str | Path, *, revision: str | None = None) -> Path:
    """The directory itself, or the cached one of a hub id, with `config.json` and all weight files in it.

    Raises:
        CheckpointError: the hub id cannot be resolved; the message tells why.
    """
    directory = config_directory(path, revision=revision)
    if not is_hub_id(path):
        return directory
    # The cached directory is named by the commit: all files are then of the same one.
    repository, commit = str(path), directory.name
    for name in WEIGHT_FILES:
        downloaded = _download(repository, name, commit)
        if downloaded is None:
            continue
        shards = sorted(set(read_index(downloaded).values())) if name in INDEX_FILES else []
        for file in shards:
            if _download(repository, file, commit) is None:
                raise CheckpointError(_not_there(repository, f"{file}, which {name} names"))
        return directory
    raise CheckpointError(
        _not_there(repository, f"{SINGLE_FILE} or {PICKLED_FILE}, nor an index of several files")
    )


def tokenizer_directory(path: str | Path, *, revision: str | None = None) -> Path:
    """The directory itself, or the cached one of a hub id, with those files of a tokenizer in it that there are.

    Raises:
        CheckpointError: the hub id cannot be resolved; the message tells why.
    """
    directory = config_directory(path, revision=revision)
    if is_hub_id(path):
        for file in TOKENIZER_FILES:
            _download(str(path), file, directory.name)
    return directory


def _download(repository: str, file: str, revision: str | None) -> Path | None:
    """The cached file; None where neither the hub nor the cache holds it."""
    try:
        from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415  # an optional extra
    except ImportError as error:
        raise CheckpointError(
            f"{repository} is no directory here; to read it from the Hugging Face hub, install xlmr-ray[hub]"
        ) from error
    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except errors.EntryNotFoundError:  # also what is raised offline for a file that the cache lacks
        return None
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise CheckpointError(
            f"{repository} is no directory here, and the Hugging Face hub refused it: {str(error).splitlines()[0]}"
        ) from error


def _not_there(repository: str, what: str) -> str:
    return (
        f"{repository} is no directory here, and neither the Hugging Face hub nor its local cache "
        f"(all there is without a network) holds its {what}"
    )
