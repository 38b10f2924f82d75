"""Puts files of the output in place, whole or not at all.

On a local file system a file is written apart, flushed to the disk and renamed: after a crash it is
there whole, or it is not there. Object stores make an object visible when its upload is complete.
"""

import os
import uuid
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import OutputError

INCOMPLETE = "_incomplete"
"""Folder under the output root for files being written; readers of folders pass over its name."""


def put_file(filesystem: fs.FileSystem, root: str, path: str, data: bytes | pa.Buffer) -> None:
    """Make `data` the content of `root/path`, replacing what is there.

    Raises OutputError where it cannot; then nothing partial is left, and an earlier file stays on
    a local file system.
    """
    try:
        if filesystem.type_name == "local":
            _put_local(Path(root), path, data)
        else:
            _upload(filesystem, f"{root}/{path}", data)
    except OSError as error:
        raise OutputError(
            f"output.path: {root}/{path} cannot be written: {error.strerror or error}; see to space "
            "and rights, then run the job again: finished parts are kept"
        ) from error


def clear_incomplete(filesystem: fs.FileSystem, root: str) -> None:
    """Remove what killed processes have left half written. No other job may be writing to `root`."""
    path = f"{root}/{INCOMPLETE}"
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        filesystem.delete_dir(path)


def _put_local(root: Path, path: str, data: bytes | pa.Buffer) -> None:
    target = root / path
    incomplete = root / INCOMPLETE / f"{uuid.uuid4().hex}.tmp"
    _make_folders(incomplete.parent)
    _make_folders(target.parent)
    try:
        with incomplete.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        incomplete.replace(target)
    except BaseException:
        incomplete.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it; each new one is flushed to the disk in its parent."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _upload(filesystem: fs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
    try:
        with filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)
    except OSError:
        # Closing a stream after an error completes its upload, so what is there may be a piece.
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)
        raise
