"""Files of a local output, changed only through a workspace, so that a driver that lost its lease can change none.

A file is written in the workspace, flushed and renamed to its place; a file to delete is first renamed into the
workspace. A rename is atomic, and fails where the folder that it leads into or out of is gone. So whoever renames
the workspace of another driver away ends all its changes at that moment, however late its processes wake up.
"""

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import LeaseLostError
from pipeline.storage.local_tree import (
    files_in,
    folders_of,
    make_folders,
    names_in,
    read_all,
    remove_tree,
    sync_folder,
)
from pipeline.storage.retries import retry_transient

WORKSPACES = "_incomplete"
"""Folder under the root of an output for workspaces; readers of folders pass over its name."""
_MOVES = "moves"
_TAKEN = "taken"
_MAX_TRIES = 5


@dataclass(frozen=True)
class LocalFiles:
    """The files below `root`, an absolute path; all paths are relative to it. Errors are OSErrors.

    `claim` names the workspace, a folder that only `open_workspace` makes; without one (no driver holds the
    output) there is one workspace for all, made where it is needed. Raises LeaseLostError once it is gone.
    Links are never followed: a link counts as neither a file nor a folder, and is deleted as such.
    """

    root: str
    claim: str | None = None

    @property
    def workspace(self) -> str:
        """Absolute path of the workspace."""
        return f"{self.root}/{WORKSPACES}/{self.claim}" if self.claim else f"{self.root}/{WORKSPACES}"

    def open_workspace(self) -> None:
        """Make the workspace. Only the one driver that has taken this claim may do so, once."""
        make_folders(self.workspace)

    def take_over(self) -> None:
        """End all changes through other workspaces, complete the moves begun there, and delete what is left."""
        taken = f"{self.workspace}/{_TAKEN}"
        for name in names_in(f"{self.root}/{WORKSPACES}"):
            if name != self.claim:
                self._make_in_workspace(taken)
                with suppress(FileNotFoundError):
                    # It may be another driver's that was refused, and has just removed it.
                    self._rename(f"{self.root}/{WORKSPACES}/{name}", f"{taken}/{name}")
        for name in names_in(taken):
            # On the disk before anything follows from them.
            self.sync(set(self._complete_moves(f"{taken}/{name}")))
        remove_tree(taken)

    def close_workspace(self) -> None:
        """Remove the workspace, unless a move was broken off in it, which the next driver completes."""
        if any(files_in(f"{self.workspace}/{_MOVES}")):
            return
        remove_tree(self.workspace)
        with suppress(OSError):
            os.rmdir(f"{self.root}/{WORKSPACES}")

    def write(self, path: str, data: bytes | pa.Buffer, *, is_flushed: bool = True) -> None:
        """Make `data` the content of a file, or leave what is there. If flushed, it is on the disk afterwards."""
        target, incomplete = self._whole(path), self._new_name()
        self._open_if_unclaimed()
        self.make_folder(os.path.dirname(path))
        try:
            self._write_new(incomplete, data, is_flushed=is_flushed)
            self._rename(incomplete, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(incomplete)
            raise
        if is_flushed:
            sync_folder(os.path.dirname(target))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none."""
        whole = self._whole(path)
        try:
            if not stat.S_ISREG(os.lstat(whole).st_mode):
                return None
            return read_all(whole)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def move(self, old: str, new: str) -> None:
        """Rename a file, replacing what has that name. Not flushed: see `sync`.

        It goes by way of the workspace, where its path says its target: a move that is broken off between is
        completed by the next driver.
        """
        self._open_if_unclaimed()
        between = f"{self.workspace}/{_MOVES}/{new}"
        self._make_in_workspace(os.path.dirname(between))
        retry_transient(lambda: self._rename(self._whole(old), between))
        self.make_folder(os.path.dirname(new))
        retry_transient(lambda: self._rename(between, self._whole(new)))
        self.remove_empty_folders(os.path.dirname(old))

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it. Raises OSError where one of them is a link."""
        for folder in folders_of(path):
            whole = self._whole(folder)
            if os.path.islink(whole):
                raise OSError(errno.ELOOP, "is a symbolic link, expected a folder", whole)
        make_folders(self._whole(path) if path else self.root)

    def remove_empty_folders(self, path: str) -> None:
        """Remove a folder and those above it, as far as they are empty."""
        for folder in reversed(folders_of(path)):
            try:
                os.rmdir(self._whole(folder))
            except FileNotFoundError:
                # Its remover may have been killed before it reached the folder above.
                continue
            except OSError:
                return

    def sync(self, paths: set[str]) -> None:
        """Have the names of files, new or gone, be on the disk: also in folders that are gone with their files."""
        folders = {os.path.dirname(self._whole(path)) for path in paths}
        for folder in [self.workspace, *sorted(folders)]:
            with suppress(FileNotFoundError):
                sync_folder(folder)

    def delete(self, path: str) -> None:
        """Delete a file, or a folder with all that is in it, if it is there."""
        self._open_if_unclaimed()
        waste = self._new_name()
        try:
            self._rename(self._whole(path), waste)
        except (FileNotFoundError, NotADirectoryError):
            return
        remove_tree(waste)

    def delete_unguarded(self, path: str) -> None:
        """Delete a file, if it is there, whether the workspace is there or not: for the claims themselves."""
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._whole(path))

    def list(self, path: str, *, recursive: bool, has_links: bool = False) -> Iterator[tuple[str, int | None]]:
        """Path and size in bytes of every file in a folder, of folders with None, in no order.

        Links are left out, or are files of 0 bytes.
        """
        try:
            entries = list(os.scandir(self._whole(path) if path else self.root))
        except FileNotFoundError:
            return
        for entry in entries:
            below = f"{path}/{entry.name}" if path else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield below, None
                if recursive:
                    yield from self.list(below, recursive=True, has_links=has_links)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield below, entry.stat(follow_symlinks=False).st_size
            elif has_links and entry.is_symlink():
                yield below, 0

    def _complete_moves(self, workspace: str) -> Iterator[str]:
        """Complete the moves of a workspace in this one, and of those it had taken over; yields their targets."""
        for name in names_in(f"{workspace}/{_TAKEN}"):
            yield from self._complete_moves(f"{workspace}/{_TAKEN}/{name}")
        moves = f"{workspace}/{_MOVES}"
        for path in files_in(moves):
            target = path.removeprefix(f"{moves}/")
            self._rename(path, self._whole(target))
            yield target

    def _write_new(self, path: str, data: bytes | pa.Buffer, *, is_flushed: bool) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            raise LeaseLostError(self.root) from None
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if is_flushed:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _rename(self, old: str, new: str) -> None:
        """Rename into the workspace or out of it, making the folder of the target where it is gone."""
        for _ in range(_MAX_TRIES):
            try:
                os.replace(old, new)
            except FileNotFoundError:
                if not os.path.lexists(self.workspace):
                    raise LeaseLostError(self.root) from None
                if not os.path.lexists(old):
                    raise
                # The folder was empty, and another process has removed it.
                self.make_folder(os.path.dirname(new).removeprefix(self.root).lstrip("/"))
            else:
                return
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), new)

    def _open_if_unclaimed(self) -> None:
        if self.claim is None:
            make_folders(self.workspace)

    def _make_in_workspace(self, folder: str) -> None:
        """Make a folder in the workspace, but never the workspace itself."""
        below = self.workspace
        for name in folder.removeprefix(f"{self.workspace}/").split("/"):
            below = f"{below}/{name}"
            try:
                os.mkdir(below)
            except FileExistsError:
                continue
            except FileNotFoundError:
                raise LeaseLostError(self.root) from None

    def _new_name(self) -> str:
        return f"{self.workspace}/{uuid.uuid4().hex}.tmp"

    def _whole(self, path: str) -> str:
        return f"{self.root}/{path}"
