"""The Parquet files of `--data`, with the configuration and split that their paths name.

These layouts are known, each also below a folder `data`; CONFIG is the name of a folder, or of `--data` itself:

    CONFIG/SPLIT-00000-of-00002.parquet    files of the hub, and what Dataset.push_to_hub writes
    CONFIG/SPLIT.parquet                   what Dataset.to_parquet writes
    CONFIG/SPLIT/0000.parquet              the branch refs/convert/parquet of the hub
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import InputError
from pipeline.input.file_listing import list_input_files
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import printable, shortened

FIELD = "--data"

# A digest follows in files of older versions of the library.
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]{16})?")
_NUMBER = re.compile(r"\d{4}")
_SUFFIX = ".parquet"
# Folders that name no configuration of their own.
_PLAIN_FOLDERS = {"data", "default"}


@dataclass(frozen=True)
class DataFile:
    """A file, as its path says.

    Attributes:
        path: in the file system.
        name: relative to `--data`, for messages.
        config: the folder that names the configuration.
        depth: how far that folder is below `--data`; 0 if the file is in `--data` itself.
        split: such as "test"; any other name where the file has no such name.
        shard, num_shards: the place among the files of the split; None where the name says no number of shards.
        problem: why it cannot be read, if that is known already.
    """

    path: str
    name: str
    config: str
    depth: int
    split: str
    shard: int
    num_shards: int | None
    problem: str | None = None

    @property
    def folder(self) -> str:
        """The folder with the file, relative to `--data`."""
        return self.name.rpartition("/")[0] or "."

    @classmethod
    def of_path(cls, path: str, root: str, relative: str, problem: str | None = None) -> Self:
        """The file at `relative` below `root`."""
        *below, name = relative.split("/")
        folders = [*root.strip("/").split("/"), *below]
        stem = name.removesuffix(_SUFFIX)
        split, shard, num_shards = stem, 0, None
        if match := _SHARD.fullmatch(stem):
            split, shard, num_shards = match[1], int(match[2]), int(match[3])
        elif _NUMBER.fullmatch(stem):
            split, shard = folders.pop(), int(stem)
            below = below[:-1]
        else:
            num_shards = 1
        configs = [folder for folder in folders if folder not in _PLAIN_FOLDERS]
        depth = sum(folder not in _PLAIN_FOLDERS for folder in below)
        config = configs[-1] if configs else ""
        return cls(path, printable(relative), config, depth, split, shard, num_shards, problem)


@dataclass(frozen=True)
class DataFiles:
    """The files of `--data`, sorted by their relative path, without hidden ones.

    `location` is `--data` for messages, without secrets.
    """

    location: str
    filesystem: fs.FileSystem
    files: tuple[DataFile, ...] = field(repr=False)

    @classmethod
    def open(cls, location: str) -> Self:
        """List the files below a folder, that of a glob, or one file; local, s3:// and the like, once.

        Raises InputError if there are none, or they cannot be listed.
        """
        listing = list_input_files([location], FIELD)
        root = listing.selections[0].root
        files = [DataFile.of_path(f.path, root, f.relative_path, f.problem) for f in listing.files]
        return cls(without_secret(printable(location)), listing.filesystem, tuple(files))

    def open_file(self, file: DataFile) -> pa.NativeFile:
        """Open a file for reading. Raises OSError."""
        return self.filesystem.open_input_file(file.path)

    def of_config(self, names: Sequence[str]) -> list[DataFile]:
        """The files in folders with one of these names, whatever its case: in `--data`, or `--data` itself."""
        folded = {name.casefold() for name in names}
        return [file for file in self.files if file.depth <= 1 and file.config.casefold() in folded]

    @property
    def at_top(self) -> list[DataFile]:
        """The files in `--data` itself."""
        return [file for file in self.files if file.depth == 0]

    @property
    def shown(self) -> str:
        """Some of the files, for messages."""
        return shortened([file.name for file in self.files], 4)


def files_of_split(files: Sequence[DataFile], split: str) -> list[DataFile]:
    """Those of a split in the order of their shards, which must be complete; none if there are none.

    Raises InputError if the split is there twice or in part, or a file is known to be unreadable.
    """
    found = sorted((file for file in files if file.split == split), key=lambda f: (f.shard, f.name))
    if not found:
        return []
    folders = sorted({file.folder for file in found})
    if len(folders) > 1:
        raise InputError(
            f"{FIELD}: found split {printable(split)!r} in {shortened(folders)}, expected it in one folder; "
            "name the folder of the benchmark itself, or move the others away"
        )
    names = shortened([file.name for file in found], 4)
    totals = {file.num_shards for file in found}
    if len(totals) > 1 or len({file.shard for file in found}) < len(found):
        raise InputError(
            f"{FIELD}: found {names}, which are several exports of one split, expected one; keep the files of one "
            "and move the others away"
        )
    total = found[0].num_shards or found[-1].shard + 1
    if [file.shard for file in found] != list(range(total)):
        raise InputError(
            f"{FIELD}: found {names}, expected shards 0 to {total - 1}, each once; fetch all files of this split "
            "again"
        )
    for file in found:
        if file.problem is not None:
            raise InputError(f"{FIELD}: {file.name} cannot be read: {file.problem}")
    return found
