"""A simulated local disk with the functions of `os` that the product uses; a crash may lose what was not flushed.

Changes of names are journaled. A crash keeps those that were flushed (by an fsync of a folder that they are in,
with what they rest on), and of the others any that the seed picks, in their order. The content of a file that was
not flushed is cut.
"""

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tests.simulation.world import World


@dataclass
class File:
    """What a name leads to: `flushed` is its content after a crash."""

    data: bytes = b""
    flushed: bytes | None = None


FOLDER = None
Tree = dict[str, File | None]


@dataclass
class Change:
    """One journaled change of names."""

    kind: str
    paths: tuple[str, ...]
    file: File | None = None
    is_flushed: bool = False


class Disk:
    """Names and files of the disk, `/` included."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tree: Tree = {"/": FOLDER}
        self._kept: Tree = {"/": FOLDER}
        self._journal: list[Change] = []
        self._open: dict[int, tuple[str, File | None, list[int]]] = {}
        self._next_descriptor = 1000

    def as_os(self) -> Any:
        """A stand-in for the module `os`."""
        path = SimpleNamespace(
            dirname=posixpath.dirname,
            basename=posixpath.basename,
            isdir=lambda p: self.tree.get(_clean(p), 0) is FOLDER,
            islink=lambda p: False,
            lexists=lambda p: _clean(p) in self.tree,
            exists=lambda p: _clean(p) in self.tree,
        )
        names = ("mkdir", "rmdir", "unlink", "replace", "listdir", "scandir", "lstat")
        functions = {name: getattr(self, name) for name in (*names, "open", "read", "write", "fsync", "close")}
        flags = {name: getattr(os, name) for name in ("O_RDONLY", "O_WRONLY", "O_CREAT", "O_EXCL", "strerror")}
        return SimpleNamespace(path=path, **functions, **flags)

    def crash(self) -> None:
        """Lose power, and come back."""
        tree: Tree = dict(self._kept)
        for change in self._journal:
            if change.is_flushed or self.world.random.random() < 0.5:
                _apply(tree, change)
        for file in tree.values():
            if file is not None and file.flushed is None:
                file.data = file.data[: len(file.data) // 2]
            elif file is not None and file.flushed is not None:
                file.data = file.flushed
        self.tree, self._kept, self._journal = tree, dict(tree), []

    # The functions of `os`.

    def mkdir(self, path: str) -> None:
        self.world.operation("mkdir")
        if path in self.tree:
            raise _error(errno.EEXIST, path)
        self._require_parent(path)
        self._change(Change("mkdir", (path,)))

    def rmdir(self, path: str) -> None:
        self.world.operation("rmdir")
        self._require_folder(path)
        if any(name != path for name in self._below(path)):
            raise _error(errno.ENOTEMPTY, path)
        self._change(Change("rmdir", (path,)))

    def unlink(self, path: str) -> None:
        self.world.operation("unlink")
        if self.tree.get(path) is None:
            raise _error(errno.EISDIR if path in self.tree else errno.ENOENT, path)
        self._change(Change("unlink", (path,)))

    def replace(self, old: str, new: str) -> None:
        self.world.operation("replace")
        if old not in self.tree:
            raise _error(errno.ENOENT, old)
        self._require_parent(new)
        if new in self.tree and (self.tree[new] is FOLDER or self.tree[old] is FOLDER):
            raise _error(errno.EISDIR, new)
        self._change(Change("replace", (old, new)))

    def listdir(self, path: str) -> list[str]:
        self.world.operation("list")
        self._require_folder(path)
        depth = 0 if path == "/" else path.count("/")
        return [posixpath.basename(p) for p in self._below(path) if p != path and p.count("/") == depth + 1]

    def scandir(self, path: str) -> Iterator[Any]:
        for name in self.listdir(path):
            file = self.tree[f"{path}/{name}"]
            size = 0 if file is None else len(file.data)
            yield SimpleNamespace(
                name=name,
                is_dir=lambda follow_symlinks, file=file: file is FOLDER,
                is_file=lambda follow_symlinks, file=file: file is not FOLDER,
                stat=lambda follow_symlinks, size=size: SimpleNamespace(st_size=size),
            )

    def lstat(self, path: str) -> Any:
        self.world.operation("lstat")
        if path not in self.tree:
            raise _error(errno.ENOENT, path)
        return SimpleNamespace(st_mode=stat.S_IFDIR if self.tree[path] is FOLDER else stat.S_IFREG)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        self.world.operation("open")
        if flags & os.O_CREAT:
            if path in self.tree:
                raise _error(errno.EEXIST, path)
            self._require_parent(path)
            self._change(Change("create", (path,), File()))
        elif path not in self.tree:
            raise _error(errno.ENOENT, path)
        self._next_descriptor += 1
        self._open[self._next_descriptor] = (path, self.tree[path], [0])
        return self._next_descriptor

    def read(self, descriptor: int, size: int) -> bytes:
        _, file, place = self._open[descriptor]
        assert file is not None
        data = file.data[place[0] : place[0] + size]
        place[0] += len(data)
        return data

    def write(self, descriptor: int, data: memoryview) -> int:
        self.world.operation("write")
        _, file, _ = self._open[descriptor]
        assert file is not None
        file.data += bytes(data)
        return len(data)

    def fsync(self, descriptor: int) -> None:
        self.world.operation("fsync")
        path, file, _ = self._open[descriptor]
        if file is not None:
            file.flushed = file.data
        else:
            self._flush_folder(path)

    def close(self, descriptor: int) -> None:
        del self._open[descriptor]

    def _change(self, change: Change) -> None:
        _apply(self.tree, change)
        self._journal.append(change)
        self.world.changed()

    def _flush_folder(self, folder: str) -> None:
        """Flush the changes of names in a folder, and all that they rest on."""
        needed = {folder}
        for change in reversed(self._journal):
            if change.kind == "replace":
                # What is needed below a folder was needed below its old name before.
                old, new = change.paths
                needed |= {old + path[len(new) :] for path in needed if path.startswith(f"{new}/")}
            parents = {posixpath.dirname(path) for path in change.paths}
            if not change.is_flushed and (parents & needed or set(change.paths) & needed):
                change.is_flushed = True
                needed |= {above for path in change.paths for above in (path, *_above(path))}
        while self._journal and self._journal[0].is_flushed:
            _apply(self._kept, self._journal.pop(0))

    def _below(self, path: str) -> list[str]:
        prefix = path.rstrip("/") + "/"
        return [p for p in self.tree if p == path or p.startswith(prefix)]

    def _require_parent(self, path: str) -> None:
        self._require_folder(posixpath.dirname(path))

    def _require_folder(self, path: str) -> None:
        if path not in self.tree:
            raise _error(errno.ENOENT, path)
        if self.tree[path] is not FOLDER:
            raise _error(errno.ENOTDIR, path)


def _apply(tree: Tree, change: Change) -> None:
    """Apply a change, or nothing where what it rests on is missing."""
    last = change.paths[-1]
    if tree.get(posixpath.dirname(last), 0) is not FOLDER:
        return
    if change.kind in ("mkdir", "create"):
        tree.setdefault(last, change.file)
    elif change.kind in ("rmdir", "unlink"):
        if not any(path.startswith(f"{last}/") for path in tree):
            tree.pop(last, None)
    elif (old := change.paths[0]) in tree:
        for path in [path for path in tree if path == old or path.startswith(f"{old}/")]:
            tree[last + path[len(old) :]] = tree.pop(path)


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = posixpath.dirname(path)
        yield path


def _clean(path: str) -> str:
    return path.rstrip("/") or "/"


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
