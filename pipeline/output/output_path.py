"""Check `output.path` before any work: it must be a folder of its own, or a path where one can be created."""

import os

from pyarrow import fs

from pipeline.errors import InputError
from pipeline.output.manifest import RUN
from pipeline.output.output_folder import OutputFolder
from pipeline.output.path_limits import require_fitting_root
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import ask_store, resolve_path
from pipeline.storage.printable import printable

_FIELD = "output.path"
# Stores where an object may have the same name as a folder.
_KEYS_ONLY = ("s3", "gcs", "abfs")


def open_output(path: str) -> OutputFolder:
    """The output at a path or URI; creates nothing.

    Raises InputError if it is too long, a file, the home folder or one above it, or not writable.
    """
    output = OutputFolder(*resolve_path(path, _FIELD))
    require_fitting_root(output)
    if output.is_local:
        _require_own_folder(output.root)
        _require_writable_folder(output.root)
        return output
    # Not the folder itself, as users may only have permissions below it.
    ask_store(lambda: output.filesystem.get_file_info(f"{output.root}/{RUN}"), _FIELD, path)
    if output.filesystem.type_name not in _KEYS_ONLY:
        info = ask_store(lambda: output.filesystem.get_file_info(output.root), _FIELD, path)
        if info.type == fs.FileType.File:
            raise InputError(f"{_FIELD}: {without_secret(path)} is a file, expected a folder; choose another")
    return output


def _require_own_folder(root: str) -> None:
    """Refuse `/`, the home folder and those above it, which runs would list, unless they are outputs already."""
    real, home = os.path.realpath(root), os.path.realpath(os.path.expanduser("~"))
    if os.path.commonpath([real, home]) != real or os.path.exists(f"{root}/{RUN}"):
        return
    what = "your home folder" if real == home else "a folder above your home folder"
    if real == "/":
        what = "the root of the file system"
    raise InputError(
        f"{_FIELD}: {printable(root)} is {what}, expected a folder for the output alone; choose one below it"
    )


def _require_writable_folder(root: str) -> None:
    existing = root
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    shown = printable(existing)
    if not os.path.isdir(existing):
        what = "a symbolic link that leads nowhere" if os.path.islink(existing) else "no folder"
        raise InputError(
            f"{_FIELD}: {shown} is {what}, expected a folder, or nothing yet; choose another, or remove it"
        )
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(
            f"{_FIELD}: {shown} is not writable by this user, expected a writable folder; change its permissions, "
            "or choose another"
        )
