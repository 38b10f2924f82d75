"""Find the directory of a checkpoint: a local path, or the cached files of a Hugging Face hub id.

Files of the hub are downloaded by `huggingface_hub` (the optional extra `hub`), which caches them and finds them
there without a network (`HF_HUB_OFFLINE=1`).
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from model.checkpoints.errors import CheckpointError
from model.checkpoints.index_file import read_index
from model.checkpoints.tensor_files import PICKLED_FILE, SINGLE_FILE
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


@dataclass(frozen=True)
class HubOptions:
    """Options of `from_pretrained` for downloads. They are never stored, since `token` is a secret.

    Attributes:
        cache_dir: where downloads are kept; default the hub's own cache.
        force_download: download again what the cache holds.
        local_files_only: use the cache only.
        token: for private repositories; True for the token stored by logging in.
        revision: branch, tag or commit.
        subfolder: the folder that holds the files, also within a local directory.
    """

    cache_dir: str | Path | None = None
    force_download: bool = False
    local_files_only: bool = False
    token: str | bool | None = field(default=None, repr=False)
    revision: str | None = "main"
    subfolder: str = ""

    def at_commit_of(self, directory: Path) -> "HubOptions":
        """The same options for the commit of a cached directory, which is named by its commit."""
        depth = len(Path(self.subfolder).parts)
        return replace(self, revision=[directory, *directory.parents][depth].name)


DEFAULT_HUB_OPTIONS = HubOptions()


def split_hub_options(options: Mapping[str, Any]) -> tuple[HubOptions, dict[str, Any]]:
    """Separate the options of the hub from the others."""
    names = {entry.name for entry in fields(HubOptions)}
    others = {name: value for name, value in options.items() if name not in names}
    return HubOptions(**{name: value for name, value in options.items() if name in names}), others


def is_hub_id(path: str | Path) -> bool:
    """Whether this is a hub id: it has the form of one, and is not an existing path."""
    return isinstance(path, str) and not Path(path).exists() and _HUB_ID.fullmatch(path) is not None


def config_directory(path: str | Path, options: HubOptions = DEFAULT_HUB_OPTIONS) -> Path:
    """A local directory as it is, or the cached directory of a hub id with `config.json`.

    Raises CheckpointError: the hub id cannot be resolved; the message says why.
    """
    return _directory(path, (CONFIG_FILE,), options)


def checkpoint_directory(path: str | Path, options: HubOptions = DEFAULT_HUB_OPTIONS) -> Path:
    """A local directory as it is, or the cached directory of a hub id with `config.json` and all weight files.

    Raises CheckpointError: the hub id cannot be resolved; the message says why.
    """
    directory = config_directory(path, options)
    if not is_hub_id(path):
        return directory
    # So that all files are of the same commit.
    repository, commit = str(path), _within_reach(options).at_commit_of(directory)
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


def tokenizer_directory(path: str | Path, options: HubOptions = DEFAULT_HUB_OPTIONS) -> Path:
    """A local directory as it is, or the cached directory of a hub id with the tokenizer files that exist.

    Raises CheckpointError: the hub id cannot be resolved; the message says why.
    """
    directory = _directory(path, (TOKENIZER_FILES[0], CONFIG_FILE), options)
    if is_hub_id(path):
        commit = _within_reach(options).at_commit_of(directory)
        for file in TOKENIZER_FILES:
            _download(str(path), file, commit)
    return directory


def _directory(path: str | Path, files: tuple[str, ...], options: HubOptions) -> Path:
    """A local directory as it is, or the cached directory of a hub id with one of these files."""
    if not is_hub_id(path):
        return Path(path) / options.subfolder
    options = _within_reach(options)
    for file in files:
        downloaded = _download(str(path), file, options)
        if downloaded is not None:
            return downloaded.parent
    raise CheckpointError(_not_there(str(path), " or ".join(files)))


def _within_reach(options: HubOptions) -> HubOptions:
    """Options that ask the cache only where the hub's name is not known: each file would be retried for 20 s."""
    if options.local_files_only or options.force_download or getproxies():
        return options
    try:
        from huggingface_hub import constants  # noqa: PLC0415  # an optional extra

        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except ImportError:
        return options
    except OSError:
        return replace(options, local_files_only=True)
    return options


def _download(repository: str, file: str, options: HubOptions) -> Path | None:
    """The cached file, downloaded if need be; None if neither the hub nor the cache has it."""
    try:
        from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415  # an optional extra
    except ImportError as error:
        raise CheckpointError(
            f"{repository} is no directory here; to read it from the Hugging Face hub, install xlmr-ray[hub]"
        ) from error
    try:
        return Path(hf_hub_download(repository, file, **vars(options)))
    except errors.EntryNotFoundError:  # also raised offline for a file that is not cached
        return None
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise CheckpointError(
            f"{repository} is no directory here, and the Hugging Face hub refused it: {str(error).splitlines()[0]}"
        ) from error


def _not_there(repository: str, what: str) -> str:
    return (
        f"{repository} is no directory here, and neither the Hugging Face hub nor its local cache "
        f"(all there is without a network) holds its {what}; check the path, or the name"
    )
