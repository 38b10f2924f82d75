"""The files of an output folder: their paths, and how they are written, read, moved, deleted and listed.

Writes are atomic. Transient errors of the file system are retried, all others become OutputErrors.
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
"""Records of failed fragments; see `pipeline.output.failure_log`."""
SUCCESS = "_SUCCESS"
"""Exists if everything is done; see `pipeline.output.success_file`."""
STAGED = "_staged"
"""Finished parts of changed files, until all parts of a file can replace the old ones."""
RESTART = "_restart"
"""A restarted output, until it replaces this one."""
PART_SUFFIX = ".parquet"
HIDDEN_SUFFIX = ".staged"
"""Added to parts that must not be read yet, as some readers also search folders that begin with _."""


@dataclass(frozen=True)
class OutputFolder:
    """An output at `root` on a file system; paths are relative to the root. Stateless.

    `is_hidden`: parts in place are hidden from readers.
    """

    filesystem: fs.FileSystem
    root: str
    is_hidden: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it is on a local file system, which has folders."""
        return is_local(self.filesystem)

    @property
    def restarted(self) -> "OutputFolder":
        """The output that is to replace this one."""
        return OutputFolder(self.filesystem, f"{self.root}/{RESTART}", is_hidden=True)

    def path_of(self, fragment: Fragment, staged_inputs: Collection[str] = ()) -> str:
        """Where to write the part of a fragment; `staged_inputs`: input files whose parts are staged."""
        if fragment.relative_path in staged_inputs:
            return staged_path(fragment.part_path)
        return self.path_in_place(fragment.part_path)

    def path_in_place(self, part_path: str) -> str:
        """The path of a part in place."""
        return hidden_path(part_path) if self.is_hidden else part_path

    def part_in_place(self, path: str) -> str | None:
        """The part whose path in place is `path`, or None."""
        if path.startswith(("_", ".")):
            return None
        return shown_path(path) if self.is_hidden else path

    def put(self, path: str, data: bytes | pa.Buffer) -> None:
        """Write a file atomically, replacing an existing one."""
        with _reported(f"{self._whole(path)} cannot be written", "check free space and permissions"):
            if self.is_local:
                retry_transient(lambda: write_local(Path(self.root), path, data))
            else:
                retry_transient(lambda: upload(self.filesystem, self._whole(path), data))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None if it does not exist."""

        def read() -> bytes | None:
            try:
                # Uncompressed, whatever the name ends with.
                with self.filesystem.open_input_stream(self._whole(path), compression=None) as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

        with _reported(f"{self._whole(path)} cannot be read", "check the permissions"):
            return retry_transient(read)

    def move(self, source: str, target: str) -> None:
        """Rename a file, replacing the target; in an object store by copying within the store."""
        old, new = self._whole(source), self._whole(target)
        with _reported(f"{old} cannot be moved to {target}", "check free space and permissions"):
            if self.is_local:
                make_folders(Path(new).parent)
                # Without fsync, which is slow; the next run checks which parts are there.
                retry_transient(lambda: os.replace(old, new))
                remove_empty_folders(Path(self.root), Path(old).parent)
            else:
                retry_transient(lambda: self.filesystem.copy_file(old, new))
                retry_transient(lambda: delete_file(self.filesystem, old))

    def delete(self, path: str) -> None:
        """Delete a file, if it exists, and the local folders below the root that become empty."""
        whole = self._whole(path)
        with _reported(f"{self._whole(path)} cannot be deleted", "check the permissions"):
            retry_transient(lambda: delete_file(self.filesystem, whole))
            if self.is_local:
                remove_empty_folders(Path(self.root), Path(whole).parent)

    def delete_folder(self, path: str) -> None:
        """Delete a folder and its content, if it exists."""
        whole = self._whole(path)

        def delete() -> None:
            if self.filesystem.get_file_info(whole).type == fs.FileType.Directory:
                self.filesystem.delete_dir(whole)

        with _reported(f"{self._whole(path)} cannot be deleted", "check the permissions"):
            retry_transient(delete)

    def clear_incomplete(self) -> None:
        """Delete incomplete files of killed processes. No other job may be writing to the output."""
        self.delete_folder(INCOMPLETE)

    def list_files(self, folder: str = "") -> Iterator[tuple[str, int]]:
        """Path and size in bytes of every file below a folder, which need not exist.

        Files of a restarted output and incomplete files are left out. Subfolders are listed one at a time, which
        bounds the memory needed.
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
        with _reported(f"{whole} cannot be listed", "check the path and the permissions"):
            return retry_transient(lambda: self.filesystem.get_file_info(selector))

    def make_folder(self, path: str) -> None:
        """Create a local folder and those above it, if they do not exist."""
        if self.is_local:
            with _reported(f"{self._whole(path)} cannot be made", "check free space and permissions"):
                retry_transient(lambda: make_folders(Path(self._whole(path))))

    def folders_below(self, path: str) -> Iterator[str]:
        """Every folder below a local folder, relative to it."""
        if self.is_local:
            top = self._whole(path)
            for folder, names, _ in os.walk(top):
                yield from (os.path.relpath(f"{folder}/{name}", top) for name in names)

    def delete_empty_folders(self, kept: Collection[str], made: Collection[str] = ()) -> None:
        """Delete empty local folders, except for `kept` ones, that killed processes have left behind.

        Only folders in `made` are deleted, those that runs have made. No other job may be writing to the output.
        """
        if not self.is_local:
            return
        for path in sorted(set(made).difference(kept), key=lambda path: path.count("/"), reverse=True):
            with suppress(OSError):  # not empty, or no permission
                Path(self._whole(path)).rmdir()

    def _whole(self, path: str) -> str:
        return f"{self.root}/{path}"


@contextmanager
def _reported(what: str, remedy: str) -> Iterator[None]:
    """Turn an OSError into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"output.path: {what}: {error.strerror or error}; {remedy}, then run the job again: finished "
            "parts are kept"
        ) from error


def staged_path(part_path: str) -> str:
    """The path of a staged part."""
    return f"{STAGED}/{hidden_path(part_path)}"


def hidden_path(part_path: str) -> str:
    """The path of a part that is hidden from readers of Parquet files."""
    name = part_path.rpartition("/")[2] + HIDDEN_SUFFIX
    if len(name.encode()) > MAX_NAME_BYTES:
        return part_path.removesuffix(PART_SUFFIX) + HIDDEN_SUFFIX
    return part_path + HIDDEN_SUFFIX


def shown_path(path: str) -> str | None:
    """The inverse of `hidden_path`; None if `path` is not that of a hidden part."""
    part_path = path.removesuffix(HIDDEN_SUFFIX)
    if part_path == path:
        return None
    return part_path if part_path.endswith(PART_SUFFIX) else part_path + PART_SUFFIX
