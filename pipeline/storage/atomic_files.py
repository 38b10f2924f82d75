"""Files of the output: put in place whole or not at all, read, moved, deleted and listed.

On a local file system a file is written apart, flushed to the disk and renamed: after a crash it is
there whole, or it is not there. Object stores make an object visible when its upload is complete.
What fails for a moment only is tried again. All paths are relative to a root, and all errors are OutputErrors.
"""

import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import OutputError
from pipeline.storage.retries import retry_transient

INCOMPLETE = "_incomplete"
"""Folder under the output root for files being written; readers of folders pass over its name."""


def put_file(filesystem: fs.FileSystem, root: str, path: str, data: bytes | pa.Buffer) -> None:
    """Make `data` the content of `root/path`, replacing what is there.

    Raises OutputError where it cannot; then nothing partial is left, and an earlier file stays on
    a local file system.
    """
    with _reported(f"{root}/{path} cannot be written", "see to space and rights"):
        if is_local(filesystem):
            retry_transient(lambda: _put_local(Path(root), path, data))
        else:
            retry_transient(lambda: _upload(filesystem, f"{root}/{path}", data))


def read_file(filesystem: fs.FileSystem, root: str, path: str) -> bytes | None:
    """The content of a file; None where there is none."""

    def read() -> bytes | None:
        try:
            # Uncompressed, whatever the name ends with.
            with filesystem.open_input_stream(f"{root}/{path}", compression=None) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    with _reported(f"{root}/{path} cannot be read", "see to the rights"):
        return retry_transient(read)


def move_file(filesystem: fs.FileSystem, root: str, source: str, target: str) -> None:
    """Give a file another name, over what has that name; on an object store by a copy of the store's own."""
    with _reported(f"{root}/{source} cannot be moved to {target}", "see to space and rights"):
        if is_local(filesystem):
            _make_folders((Path(root) / target).parent)
            # Not flushed: readers wait for it, and the next run looks whether it is there.
            retry_transient(lambda: os.replace(Path(root) / source, Path(root) / target))
            _remove_empty_folders(Path(root), (Path(root) / source).parent)
        else:
            retry_transient(lambda: filesystem.copy_file(f"{root}/{source}", f"{root}/{target}"))
            retry_transient(lambda: _delete(filesystem, f"{root}/{source}"))


def delete_file(filesystem: fs.FileSystem, root: str, path: str) -> None:
    """Remove a file, if it is there, and the local folders below the root that are empty without it."""
    with _reported(f"{root}/{path} cannot be deleted", "see to the rights"):
        retry_transient(lambda: _delete(filesystem, f"{root}/{path}"))
        if is_local(filesystem):
            _remove_empty_folders(Path(root), (Path(root) / path).parent)


def delete_folder(filesystem: fs.FileSystem, root: str, path: str) -> None:
    """Remove a folder with all that is in it, if it is there."""

    def delete() -> None:
        if filesystem.get_file_info(f"{root}/{path}").type == fs.FileType.Directory:
            filesystem.delete_dir(f"{root}/{path}")

    with _reported(f"{root}/{path} cannot be deleted", "see to the rights"):
        retry_transient(delete)


def list_files(
    filesystem: fs.FileSystem, root: str, folder: str = "", skipped: Collection[str] = ()
) -> Iterator[tuple[str, int]]:
    """Path and size in bytes of every file in a folder under the root, however deep; none where it is not there.

    `skipped` are names in the folder that are passed over. One listing is held at a time: that of the folder
    itself, then that of each folder in it.
    """
    top = f"{root}/{folder}" if folder else root
    prefix_size = len(root.rstrip("/")) + 1

    def infos(path: str, recursive: bool) -> list[fs.FileInfo]:
        selector = fs.FileSelector(path, recursive=recursive, allow_not_found=True)
        with _reported(f"{path} cannot be listed", "see to the path and the rights"):
            return retry_transient(lambda: filesystem.get_file_info(selector))

    folders = []
    for info in infos(top, recursive=False):
        if info.base_name in skipped:
            continue
        if info.type == fs.FileType.File:
            yield info.path[prefix_size:], info.size
        else:
            folders.append(info.path)
    for path in sorted(folders):
        for info in infos(path, recursive=True):
            if info.type == fs.FileType.File:
                yield info.path[prefix_size:], info.size


def clear_incomplete(filesystem: fs.FileSystem, root: str) -> None:
    """Remove what killed processes have left half written. No other job may be writing to `root`."""
    delete_folder(filesystem, root, INCOMPLETE)


def make_folder(filesystem: fs.FileSystem, root: str, path: str) -> None:
    """Make a folder and those above it, where they are not there; stores have none."""
    if is_local(filesystem):
        with _reported(f"{root}/{path} cannot be made", "see to space and rights"):
            retry_transient(lambda: _make_folders(Path(root) / path))


def delete_empty_folders(
    filesystem: fs.FileSystem, root: str, kept: Collection[str], made: Collection[str] = ()
) -> None:
    """Remove what processes left that were killed between deleting a file and its folder; stores have none.

    Only folders in `made` are removed, which are those that this project made; empty folders of others stay.
    `made` and `kept` are paths below the root. No other job may be writing to `root`.
    """
    if not is_local(filesystem):
        return
    for path in sorted(set(made).difference(kept), key=lambda path: path.count("/"), reverse=True):
        with suppress(OSError):
            # It is not empty, or may not be removed, which changes nothing for who reads.
            (Path(root) / path).rmdir()


def folders_below(filesystem: fs.FileSystem, root: str, path: str) -> Iterator[str]:
    """Every folder below a local folder, relative to it; stores have none."""
    if is_local(filesystem):
        top = f"{root}/{path}"
        for folder, names, _ in os.walk(top):
            yield from (os.path.relpath(f"{folder}/{name}", top) for name in names)


def is_local(filesystem: fs.FileSystem) -> bool:
    """Whether files can be renamed, and folders are things of their own."""
    local: bool = filesystem.type_name == "local"
    return local


@contextmanager
def _reported(what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"output.path: {what}: {error.strerror or error}; {remedy}, then run the job again: finished "
            "parts are kept"
        ) from error


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
        try:
            incomplete.replace(target)
        except FileNotFoundError:
            # The folder was empty, and another process has removed it.
            _make_folders(target.parent)
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


def _remove_empty_folders(root: Path, folder: Path) -> None:
    """Remove a folder and those above it, up to the root, as far as they are empty."""
    while folder != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            # Whoever removed it may have been killed before it came to the one above.
            pass
        except OSError:
            return
        folder = folder.parent


def _upload(filesystem: fs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
    try:
        with filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)
    except OSError:
        # Closing a stream after an error completes its upload, so what is there may be a piece.
        with suppress(OSError):
            _delete(filesystem, path)
        raise


def _delete(filesystem: fs.FileSystem, path: str) -> None:
    # Another process may remove or rename it between the question and the deletion.
    with suppress(FileNotFoundError):
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)
