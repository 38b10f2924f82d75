"""Folders of a local disk: made, listed, removed and flushed; links in them are not followed."""

import os
from collections.abc import Iterator
from contextlib import suppress


def make_folders(folder: str) -> None:
    """Make a folder and those above it; each new one is flushed to the disk in its parent."""
    while not os.path.isdir(folder):
        make_folders(os.path.dirname(folder))
        # Another process may make the same one, or remove the one above while it is empty.
        with suppress(FileNotFoundError):
            try:
                os.mkdir(folder)
            except FileExistsError:
                if os.path.lexists(folder) and not os.path.isdir(folder):
                    raise
            else:
                sync_folder(os.path.dirname(folder))


def folders_of(path: str) -> list[str]:
    """A relative path and those of the folders above it, the outermost first; none for the empty path."""
    names = path.split("/") if path else []
    return ["/".join(names[: end + 1]) for end in range(len(names))]


def names_in(folder: str) -> list[str]:
    """Names of what is in a folder, in order; none where there is no such folder."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def files_in(folder: str) -> Iterator[str]:
    """Path of every file in a folder, however deep."""
    for name in names_in(folder):
        path = f"{folder}/{name}"
        if _is_folder(path):
            yield from files_in(path)
        else:
            yield path


def remove_tree(path: str) -> None:
    """Delete a file, or a folder with all that is in it, if it is there."""
    with suppress(FileNotFoundError):
        if not _is_folder(path):
            os.unlink(path)
            return
        for name in names_in(path):
            remove_tree(f"{path}/{name}")
        os.rmdir(path)


def read_all(path: str) -> bytes:
    """The content of a file."""
    pieces = []
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while piece := os.read(descriptor, 1 << 20):
            pieces.append(piece)
    finally:
        os.close(descriptor)
    return b"".join(pieces)


def sync_folder(folder: str) -> None:
    """Flush the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
