"""Write a file whole or not at all, delete it, make and remove its folders; errors are OSErrors.

On a local file system a file is written apart, flushed to the disk and renamed: after a crash it is there whole,
or it is not there. Object stores make an object visible when its upload is complete, and have no folders.
"""

import os
import uuid
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

INCOMPLETE = "_incomplete"
"""Folder under the output root for files being written; readers of folders pass over its name."""


def is_local(filesystem: fs.FileSystem) -> bool:
    """Whether it is the local file system, which can rename files and has folders."""
    local: bool = filesystem.type_name == "local"
    return local


def write_local(root: Path, path: str, data: bytes | pa.Buffer) -> None:
    """Make `data` the content of `root/path`, or leave what is there."""
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
            # The folder was empty, and another process has removed it.
            make_folders(target.parent)
            incomplete.replace(target)
    except BaseException:
        incomplete.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def upload(filesystem: fs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
    """Make `data` the content of an object; where that fails, delete what came of it."""
    try:
        with filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)
    except OSError:
        # Closing a stream after an error completes its upload, so what is there may be a piece.
        with suppress(OSError):
            delete_file(filesystem, path)
        raise


def delete_file(filesystem: fs.FileSystem, path: str) -> None:
    """Delete a file, if it is there."""
    # Another process may remove or rename it between the question and the deletion.
    with suppress(FileNotFoundError):
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it; each new one is flushed to the disk in its parent."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def remove_empty_folders(root: Path, folder: Path) -> None:
    """Remove a folder and those above it, up to the root, as far as they are empty."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            # Its remover may have been killed before it reached the folder above.
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
