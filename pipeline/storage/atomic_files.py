"""Write files atomically, delete them, create and delete their folders. Raises OSErrors.

A local file is written under another name, flushed and renamed. Object stores show an object once its upload is
complete, and have no folders.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

INCOMPLETE = "_incomplete"
"""Folder below the output root for files being written, ignored by readers because of its name."""


def is_local(filesystem: fs.FileSystem) -> bool:
    """Whether this is the local file system, which can rename files and has folders."""
    local: bool = filesystem.type_name == "local"
    return local


def write_local(root: Path, path: str, data: bytes | pa.Buffer) -> None:
    """Write `root/path` atomically."""
    target = root / path
    incomplete = root / INCOMPLETE / f"{uuid.uuid4().hex}.tmp"
    make_folders(incomplete.parent)
    make_folders(target.parent)
    try:
        with incomplete.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            incomplete.replace(target)
        except FileNotFoundError:
            # Another process has deleted the folder, which was empty.
            make_folders(target.parent)
            incomplete.replace(target)
    except BaseException:
        incomplete.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def upload(filesystem: fs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
    """Write an object; if that fails, delete it."""
    try:
        with filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)
    except OSError:
        # Closing the stream after an error completes the upload, perhaps of a part of the data.
        with suppress(OSError):
            delete_file(filesystem, path)
        raise


def delete_file(filesystem: fs.FileSystem, path: str) -> None:
    """Delete a file, if it exists."""
    # Another process may delete or rename it in between.
    with suppress(FileNotFoundError):
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)


def make_folders(folder: Path) -> None:
    """Create a folder and those above it, flushing each to disk."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def remove_empty_folders(root: Path, folder: Path) -> None:
    """Delete a folder and those above it, below the root, as long as they are empty."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            # Another process may have been killed before it deleted the folder above.
            pass
        except OSError:
            return
        folder = folder.parent


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
