"""Where the files of an output lie: parts, the manifest beside them, and what is hidden until it is whole."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import fs

from pipeline.fragments import MAX_NAME_BYTES, Fragment
from pipeline.storage.atomic_files import (
    INCOMPLETE,
    delete_file,
    delete_folder,
    list_files,
    move_file,
    put_file,
    read_file,
)

MANIFEST = "_manifest"
FAILED = f"{MANIFEST}/failed"
"""Folder of records of fragments that failed; see `pipeline.failures`."""
SUCCESS = "_SUCCESS"
"""File that is there when everything is done; see `pipeline.output.success_file`."""
STAGED = "_staged"
"""Folder of parts that wait for the rest of their file, to take the place of those of its earlier version."""
RESTART = "_restart"
"""Folder of a whole output that waits to take the place of this one."""
PART_SUFFIX = ".parquet"
HIDDEN_SUFFIX = ".staged"
"""Of parts that are not to be read yet: some readers search folders that begin with _ for *.parquet too."""


@dataclass(frozen=True)
class PartPlacement:
    """Where the parts of a run are written.

    Attributes:
        staged_inputs: relative paths of the input files whose parts are staged.
        is_hidden: whether the parts of all other files are hidden from readers.
    """

    staged_inputs: frozenset[str] = frozenset()
    is_hidden: bool = False

    def path_of(self, fragment: Fragment) -> str:
        """Path of a fragment's part when it is written, relative to the output root."""
        if fragment.relative_path in self.staged_inputs:
            return staged_path(fragment.part_path)
        return hidden_path(fragment.part_path) if self.is_hidden else fragment.part_path


@dataclass(frozen=True)
class OutputFolder:
    """The files of an output; paths are relative to `root`. Holds no state.

    `is_hidden`: its parts in place are hidden from readers.
    """

    filesystem: fs.FileSystem
    root: str
    is_hidden: bool = False

    @property
    def restarted(self) -> "OutputFolder":
        """The output that is to take the place of this one."""
        return OutputFolder(self.filesystem, f"{self.root}/{RESTART}", is_hidden=True)

    def placement(self, staged_inputs: Collection[str] = ()) -> PartPlacement:
        """Where a run writes its parts."""
        return PartPlacement(frozenset(staged_inputs), self.is_hidden)

    def path_in_place(self, part_path: str) -> str:
        """Where a part is when it is in place."""
        return hidden_path(part_path) if self.is_hidden else part_path

    def part_in_place(self, path: str) -> str | None:
        """The part that is in place at a path; None where none can be."""
        if path.startswith(("_", ".")):
            return None
        return shown_path(path) if self.is_hidden else path

    def put(self, path: str, data: bytes | pa.Buffer) -> None:
        """See `put_file`, as for the others."""
        put_file(self.filesystem, self.root, path, data)

    def read(self, path: str) -> bytes | None:
        """See `read_file`."""
        return read_file(self.filesystem, self.root, path)

    def move(self, source: str, target: str) -> None:
        """See `move_file`."""
        move_file(self.filesystem, self.root, source, target)

    def delete(self, path: str) -> None:
        """See `delete_file`."""
        delete_file(self.filesystem, self.root, path)

    def delete_folder(self, path: str) -> None:
        """See `delete_folder`."""
        delete_folder(self.filesystem, self.root, path)

    def list_files(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Path and size of the files in a folder, but for those of an output that waits to replace this one."""
        return list_files(self.filesystem, self.root, folder, skipped=(RESTART, INCOMPLETE))


def staged_path(part_path: str) -> str:
    """Where a part waits for the rest of its file."""
    return f"{STAGED}/{hidden_path(part_path)}"


def hidden_path(part_path: str) -> str:
    """A part's path by which no reader takes it for Parquet."""
    name = part_path.rpartition("/")[2] + HIDDEN_SUFFIX
    if len(name.encode()) > MAX_NAME_BYTES:
        return part_path.removesuffix(PART_SUFFIX) + HIDDEN_SUFFIX
    return part_path + HIDDEN_SUFFIX


def shown_path(path: str) -> str | None:
    """The part's path that `hidden_path` gives this one for; None where there is none."""
    part_path = path.removesuffix(HIDDEN_SUFFIX)
    if part_path == path:
        return None
    return part_path if part_path.endswith(PART_SUFFIX) else part_path + PART_SUFFIX
