"""One output folder: where its files lie, and how they are written, read, moved, deleted and listed.

Files are put in place whole or not at all. Transient errors of the file system are retried, all others become
OutputErrors.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import OutputError
from pipeline.fragments import MAX_NAME_BYTES, Fragment
from pipeline.storage.atomic_files import (
    INCOMPLETE,
    delete_file,
    is_local,
    make_folders,
    remove_empty_folders,
    upload,
    write_local,
)
from pipeline.storage.retries import retry_transient

MANIFEST = "_manifest"
FAILED = f"{MANIFEST}/failed"
"""Folder of records of fragments that failed; see `pipeline.output.failure_log`."""
SUCCESS = "_SUCCESS"
"""File that is there when everything is done; see `pipeline.output.success_file`."""
STAGED = "_staged"
"""Folder of finished parts of changed files, until all parts of the file can replace the old ones."""
RESTART = "_restart"
"""Folder of a restarted output, until it replaces this one."""
PART_SUFFIX = ".parquet"
HIDDEN_SUFFIX = ".staged"
"""Suffix of parts that are not to be read yet: some readers also search folders that begin with _."""


@dataclass(frozen=True)
class OutputFolder:
    """The files of an output, `root` on a file system; all paths are relative to the root. Holds no state.

    `is_hidden`: its parts in place are hidden from readers.
    """

    filesystem: fs.FileSystem
    root: str
    is_hidden: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it is on a local file system, where there are folders."""
        return is_local(self.filesystem)

    @property
    def restarted(self) -> "OutputFolder":
        """The output that is to replace this one."""
        return OutputFolder(self.filesystem, f"{self.root}/{RESTART}", is_hidden=True)

    def path_of(self, fragment: Fragment, staged_inputs: Collection[str] = ()) -> str:
        """Where the part of a fragment is written; `staged_inputs`: input files whose parts are to be staged."""
        if fragment.relative_path in staged_inputs:
            return staged_path(fragment.part_path)
        return self.path_in_place(fragment.part_path)

    def path_in_place(self, part_path: str) -> str:
        """Where a part is when it is in place."""
        return hidden_path(part_path) if self.is_hidden else part_path

    def part_in_place(self, path: str) -> str | None:
        """The part that is in place at a path; None where none can be."""
        if path.startswith(("_", ".")):
            return None
        return shown_path(path) if self.is_hidden else path

    def put(self, path: str, data: bytes | pa.Buffer) -> None:
        """Make `data` the content of a file, replacing what is there.

        Where it cannot, nothing partial is left, and an earlier file stays on a local file system.
        """
        with _reported(f"{self._whole(path)} cannot be written", "see to space and rights"):
            if self.is_local:
                retry_transient(lambda: write_local(Path(self.root), path, data))
            else:
                retry_transient(lambda: upload(self.filesystem, self._whole(path), data))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none."""

        def read() -> bytes | None:
            try:
                # Uncompressed, whatever the name ends with.
                with self.filesystem.open_input_stream(self._whole(path), compression=None) as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

        with _reported(f"{self._whole(path)} cannot be read", "see to the rights"):
            return retry_transient(read)

    def move(self, source: str, target: str) -> None:
        """Rename a file, replacing what has that name; in an object store by a copy within the store."""
        old, new = self._whole(source), self._whole(target)
        with _reported(f"{old} cannot be moved to {target}", "see to space and rights"):
            if self.is_local:
                make_folders(Path(new).parent)
                # Not flushed: that is slow, and the next run checks which parts are there.
                retry_transient(lambda: os.replace(old, new))
                remove_empty_folders(Path(self.root), Path(old).parent)
            else:
                retry_transient(lambda: self.filesystem.copy_file(old, new))
                retry_transient(lambda: delete_file(self.filesystem, old))

    def delete(self, path: str) -> None:
        """Delete a file, if it is there, and the local folders below the root that are empty without it."""
        whole = self._whole(path)
        with _reported(f"{self._whole(path)} cannot be deleted", "see to the rights"):
            retry_transient(lambda: delete_file(self.filesystem, whole))
            if self.is_local:
                remove_empty_folders(Path(self.root), Path(whole).parent)

    def delete_folder(self, path: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
        whole = self._whole(path)

        def delete() -> None:
            if self.filesystem.get_file_info(whole).type == fs.FileType.Directory:
                self.filesystem.delete_dir(whole)

        with _reported(f"{self._whole(path)} cannot be deleted", "see to the rights"):
            retry_transient(delete)

    def clear_incomplete(self) -> None:
        """Delete what killed processes have left half written. No other job may be writing to the output."""
        self.delete_folder(INCOMPLETE)

    def list_files(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Path and size in bytes of every file in a folder, however deep; none where it is not there.

        Files of an output that waits to replace this one, and those being written, are left out. One listing is
        held at a time: that of the folder itself, then that of each folder in it.
        """
        prefix_size = len(self.root.rstrip("/")) + 1
        folders = []
        for info in self._infos(self._whole(folder) if folder else self.root, recursive=False):
            if info.base_name in (RESTART, INCOMPLETE):
                continue
            if info.type == fs.FileType.File:
                yield info.path[prefix_size:], info.size
            else:
                folders.append(info.path)
        for path in sorted(folders):
            for info in self._infos(path, recursive=True):
                if info.type == fs.FileType.File:
                    yield info.path[prefix_size:], info.size

    def _infos(self, whole: str, *, recursive: bool) -> list[fs.FileInfo]:
        selector = fs.FileSelector(whole, recursive=recursive, allow_not_found=True)
        with _reported(f"{whole} cannot be listed", "see to the path and the rights"):
            return retry_transient(lambda: self.filesystem.get_file_info(selector))

    def make_folder(self, path: str) -> None:
        """Make a local folder and those above it, where they are not there."""
        if self.is_local:
            with _reported(f"{self._whole(path)} cannot be made", "see to space and rights"):
                retry_transient(lambda: make_folders(Path(self._whole(path))))

    def folders_below(self, path: str) -> Iterator[str]:
        """Every folder below a local folder, relative to it."""
        if self.is_local:
            top = self._whole(path)
            for folder, names, _ in os.walk(top):
                yield from (os.path.relpath(f"{folder}/{name}", top) for name in names)

    def delete_empty_folders(self, kept: Collection[str], made: Collection[str] = ()) -> None:
        """Remove what processes left that were killed between deleting a file and its local folder.

        Only folders in `made` are removed, which are those that this project made; empty folders of others stay.
        No other job may be writing to the output.
        """
        if not self.is_local:
            return
        for path in sorted(set(made).difference(kept), key=lambda path: path.count("/"), reverse=True):
            with suppress(OSError):
                # It is not empty, or may not be removed; readers do not care.
                Path(self._whole(path)).rmdir()

    def _whole(self, path: str) -> str:
        return f"{self.root}/{path}"


@contextmanager
def _reported(what: str, remedy: str) -> Iterator[None]:
    """Turn an OSError into an OutputError that says what could not be done."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"output.path: {what}: {error.strerror or error}; {remedy}, then run the job again: finished "
            "parts are kept"
        ) from error


def staged_path(part_path: str) -> str:
    """Where a part is staged."""
    return f"{STAGED}/{hidden_path(part_path)}"


def hidden_path(part_path: str) -> str:
    """The path of a part that is hidden: no reader takes it for Parquet."""
    name = part_path.rpartition("/")[2] + HIDDEN_SUFFIX
    if len(name.encode()) > MAX_NAME_BYTES:
        return part_path.removesuffix(PART_SUFFIX) + HIDDEN_SUFFIX
    return part_path + HIDDEN_SUFFIX


def shown_path(path: str) -> str | None:
    """The inverse of `hidden_path`; None where the path is none of a hidden part."""
    part_path = path.removesuffix(HIDDEN_SUFFIX)
    if part_path == path:
        return None
    return part_path if part_path.endswith(PART_SUFFIX) else part_path + PART_SUFFIX
