"""The files of an output folder: their paths, and how they are written, read, moved, deleted and listed.

Writes are atomic. Transient errors of the file system are retried, all others become OutputErrors.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import OutputError
from pipeline.fragments import MAX_NAME_BYTES, Fragment
from pipeline.storage.access_errors import access_error_in, access_remedy
from pipeline.storage.local_files import WORKSPACES, LocalFiles
from pipeline.storage.retries import retry_transient
from pipeline.storage.store_files import LastLook, StoreFiles, is_local

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

    `prefix` is empty, or the folder of an output in this one with a slash at its end. `is_hidden`: its parts in
    place are hidden from readers. `claim`: that of the driver that holds the lease; once it is lost, every change
    raises LeaseLostError. All but tests change a folder with a claim only.
    """

    filesystem: fs.FileSystem
    top: str
    prefix: str = ""
    is_hidden: bool = False
    claim: str | None = None
    last_look: LastLook = field(default_factory=LastLook, compare=False, repr=False)

    @property
    def root(self) -> str:
        """The folder itself."""
        return f"{self.top}/{self.prefix}".rstrip("/") if self.prefix else self.top

    @property
    def is_local(self) -> bool:
        """Whether it is on a local file system, which has folders."""
        return is_local(self.filesystem)

    @property
    def restarted(self) -> "OutputFolder":
        """The output that is to replace this one."""
        return replace(self, prefix=f"{RESTART}/", is_hidden=True)

    @property
    def files(self) -> LocalFiles | StoreFiles:
        """Its files, by paths from `top`."""
        if self.is_local:
            return LocalFiles(self.top, self.claim)
        return StoreFiles(self.filesystem, self.top, self.claim, self.last_look)

    def path_of(self, fragment: Fragment, *, is_staged: bool = False) -> str:
        """Where the part of a fragment is written."""
        return staged_path(fragment.part_path) if is_staged else self.path_in_place(fragment.part_path)

    def path_in_place(self, part_path: str) -> str:
        """The path of a part in place."""
        return hidden_path(part_path) if self.is_hidden else part_path

    def part_in_place(self, path: str) -> str | None:
        """The part whose path in place is `path`, or None."""
        if path.startswith(("_", ".")):
            return None
        return shown_path(path) if self.is_hidden else path

    def put(self, path: str, data: bytes | pa.Buffer) -> None:
        """Make `data` the content of a file, replacing what is there.

        Where it cannot, nothing partial is left, and an earlier file stays on a local file system.
        """
        with _reported(f"{self._shown(path)} cannot be written", "check free space and permissions"):
            retry_transient(lambda: self.files.write(self._below_top(path), data))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none."""
        with _reported(f"{self._shown(path)} cannot be read", "check the permissions"):
            return retry_transient(lambda: self.files.read(self._below_top(path)))

    def move(self, source: str, target: str) -> None:
        """Rename a file, replacing what has that name; in an object store by a copy within the store.

        Not flushed to a local disk: that is slow, and `sync` does it for many at a time.
        """
        with _reported(f"{self._shown(source)} cannot be moved to {target}", "check free space and permissions"):
            self.files.move(self._below_top(source), self._below_top(target))

    def sync(self, paths: Iterable[str]) -> None:
        """Have the names of files, new or gone, be on a local disk."""
        files = self.files
        if isinstance(files, LocalFiles):
            with _reported(f"{self.root} cannot be flushed", "check the disk"):
                files.sync({self._below_top(path) for path in paths})

    def sync_all(self) -> None:
        """Have the names of all files be on a local disk.

        What speaks for all of them needs it: a driver whose disk failed may have moved some, and flushed none.
        """
        self.sync(path for path, _ in self.list_files())

    def delete(self, path: str) -> None:
        """Delete a file, if it is there, and the local folders below the root that are empty without it."""
        files = self.files
        with _reported(f"{self._shown(path)} cannot be deleted", "check the permissions"):
            retry_transient(lambda: files.delete(self._below_top(path)))
            if isinstance(files, LocalFiles):
                files.remove_empty_folders(os.path.dirname(self._below_top(path)))

    def delete_folder(self, path: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
        with _reported(f"{self._shown(path)} cannot be deleted", "check the permissions"):
            retry_transient(lambda: self.files.delete(self._below_top(path)))

    def list_files(self, folder: str = "", *, has_links: bool = False) -> Iterator[tuple[str, int]]:
        """Path and size in bytes of every file below a folder, which need not exist.

        Files of a restarted output and incomplete files are left out, and links unless `has_links`: then they are
        files of 0 bytes, to be replaced or deleted. Subfolders are listed one at a time, which bounds the memory
        needed.
        """
        folders = []
        for path, size in self._list(folder, recursive=False, has_links=has_links):
            if path.rpartition("/")[2] in (RESTART, WORKSPACES):
                continue
            if size is not None:
                yield path, size
            else:
                folders.append(path)
        for path in sorted(folders):
            for below, size in self._list(path, recursive=True, has_links=has_links):
                if size is not None:
                    yield below, size

    def _list(self, folder: str, *, recursive: bool, has_links: bool = False) -> list[tuple[str, int | None]]:
        path = self._below_top(folder) if folder else self.prefix.rstrip("/")
        with _reported(f"{self._shown(folder)} cannot be listed", "check the path and the permissions"):
            found = retry_transient(lambda: list(self.files.list(path, recursive=recursive, has_links=has_links)))
        return [(path.removeprefix(self.prefix), size) for path, size in found]

    def make_folder(self, path: str) -> None:
        """Make a local folder and those above it, where they are not there."""
        files = self.files
        if isinstance(files, LocalFiles):
            with _reported(f"{self._shown(path)} cannot be made", "check free space and permissions"):
                retry_transient(lambda: files.make_folder(self._below_top(path)))

    def folders_below(self, path: str) -> list[str]:
        """Every folder below a local folder, relative to it."""
        if not self.is_local:
            return []
        return [below.removeprefix(f"{path}/") for below, size in self._list(path, recursive=True) if size is None]

    def delete_empty_folders(self, kept: Collection[str], made: Collection[str] = ()) -> None:
        """Delete empty local folders, except for `kept` ones, that killed processes have left behind.

        Only folders in `made` are deleted, those that runs have made. No other job may be writing to the output.
        """
        if not self.is_local:
            return
        for path in sorted(set(made).difference(kept), key=lambda path: path.count("/"), reverse=True):
            with suppress(OSError):
                # It is not empty, or may not be removed; readers do not care.
                os.rmdir(self._shown(path))

    def _below_top(self, path: str) -> str:
        return f"{self.prefix}{path}"

    def _shown(self, path: str) -> str:
        return f"{self.root}/{path}"


@contextmanager
def _reported(what: str, remedy: str) -> Iterator[None]:
    """Turn an OSError into an OutputError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        refused = access_error_in(reason)
        if refused is not None:
            remedy = f"{remedy}; {access_remedy(refused)}"
        raise OutputError(
            f"output.path: {what}: {reason}; {remedy}, then run the job again: finished parts are kept"
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
