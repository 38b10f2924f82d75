"""Paths of the job file (files, folders, globs; local, s3://, gs://) to files of a file system."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import InputError
from pipeline.storage.filesystem_uris import open_uri

_URI = re.compile(r"[a-z][a-z0-9+.-]*://")
_WILDCARDS = re.compile(r"[*?\[]")
_GLOB_PARTS = re.compile(r"\*\*/|\*+|\?|\[[^\]/]+\]|.", re.DOTALL)
# A password may hold a slash that should have been quoted.
_USER = re.compile(r"://(?:[^/@\s]*|[^@\s?]*:[^@\s?]*)@")
_OPTIONS = re.compile(r"(://[^\s?']*)\?[^\s']*")
_ANY_PARQUET = r"(?:.*/)?[^/]*\.parquet"


@dataclass(frozen=True)
class InputFile:
    """A file to read: its path in the file system, and relative to the input root it is under.

    `mtime_ns` is the time of its last change, where the file system tells.
    """

    path: str
    relative_path: str
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Selection:
    """The files that one entry of `input.path` stands for: those under `root` that match.

    Names that start with `_` or `.` are passed over below the root, as readers of folders do.
    """

    entry: str
    root: str
    pattern: re.Pattern[str]

    def relative_path(self, path: str) -> str | None:
        """The path of a selected file relative to the root, or None where it is not selected."""
        relative = _relative(path, self.root)
        if relative is None or any(name.startswith(("_", ".")) for name in relative.split("/")):
            return None
        return relative if self.pattern.fullmatch(relative) else None


def resolve_path(path: str, field: str) -> tuple[fs.FileSystem, str]:
    """File system of a path or URI, and the path within it: absolute, no slash at its end.

    Raises InputError that names `field` where there is no such file system, or no way to it.
    """
    if not _URI.match(path):
        return fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    try:
        filesystem, inner = open_uri(path)
    except (pa.ArrowException, OSError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{field}: {without_secret(path)} cannot be opened: {without_secret(reason)}; expected "
            "a local path, s3:// or gs://, with credentials where the store asks for them"
        ) from None
    return filesystem, inner.rstrip("/")


def without_secret(path: str) -> str:
    """A path or message as it may be printed: each URI in it loses its user, password and options."""
    return _OPTIONS.sub(r"\1", _USER.sub("://", path))


def list_input_files(
    entries: Sequence[str],
) -> tuple[fs.FileSystem, list[InputFile], list[Selection]]:
    """Every file that `input.path` stands for, once, sorted by relative path.

    Raises InputError where an entry stands for nothing or cannot be listed, or where entries lie
    on different file systems.
    """
    files: dict[str, InputFile] = {}
    selections = []
    filesystem: fs.FileSystem | None = None
    for entry in entries:
        entry_filesystem, path = resolve_path(entry, "input.path")
        if filesystem is not None and not filesystem.equals(entry_filesystem):
            raise InputError(
                f"input.path: {without_secret(entry)} and {without_secret(entries[0])} are on "
                "different file systems, expected one; run one job for each"
            )
        filesystem = entry_filesystem
        selection, found = _select(filesystem, entry, path)
        selections.append(selection)
        for file in found:
            files.setdefault(file.path, file)
    assert filesystem is not None
    return filesystem, sorted(files.values(), key=lambda f: (f.relative_path, f.path)), selections


def _select(filesystem: fs.FileSystem, entry: str, path: str) -> tuple[Selection, list[InputFile]]:
    """What one entry stands for; a path that is there is taken as it is, wildcards or not."""
    name = without_secret(entry)
    try:
        info = filesystem.get_file_info(path)
        if info.type == fs.FileType.File:
            selection = Selection(name, *_file_pattern(path))
            relative = selection.relative_path(path)
            files = [] if relative is None else [InputFile(path, relative, info.mtime_ns)]
        elif info.type == fs.FileType.Directory:
            selection = Selection(name, path, re.compile(_ANY_PARQUET))
            files = list(_walk(filesystem, selection, is_deep=True))
        else:
            selection, is_deep = _glob_selection(entry, name)
            files = list(_walk(filesystem, selection, is_deep))
    except OSError as error:
        raise InputError(
            f"input.path: {name} cannot be listed: {error}; check the path and the rights to it"
        ) from None
    if not files:
        raise InputError(
            f"input.path: {name} stands for no Parquet file; check the path (names that start "
            "with _ or . are passed over, and a folder is searched for *.parquet)"
        )
    return selection, files


def _file_pattern(path: str) -> tuple[str, re.Pattern[str]]:
    root, _, name = path.rpartition("/")
    return root, re.compile(re.escape(name))


def _walk(filesystem: fs.FileSystem, selection: Selection, is_deep: bool) -> Iterator[InputFile]:
    """The selected files, by one listing where the whole tree is asked for, else by level."""
    selector = fs.FileSelector(selection.root or "/", recursive=is_deep)
    for info in filesystem.get_file_info(selector):
        relative = selection.relative_path(info.path)
        if relative is None:
            continue
        if info.type == fs.FileType.File:
            yield InputFile(info.path, relative, info.mtime_ns)
        elif not is_deep:
            inner = Selection(selection.entry, info.path, re.compile(_ANY_PARQUET))
            for file in _walk(filesystem, inner, is_deep=True):
                yield replace(file, relative_path=f"{relative}/{file.relative_path}")


def _glob_selection(entry: str, name: str) -> tuple[Selection, bool]:
    """The selection of a glob, rooted at its longest folder without wildcards; whether it is deep.

    Raises InputError where the entry is no glob, as it then names nothing.
    """
    location, mark, query = entry.partition("?") if _URI.match(entry) else (entry, "", "")
    parts = location.rstrip("/").split("/")
    first = next((i for i, part in enumerate(parts) if _WILDCARDS.search(part)), None)
    if first is None:
        raise InputError(f"input.path: {name} does not exist; check the path")
    base = "/".join(parts[:first]) or ("/" if first else ".")
    _, root = resolve_path(base + mark + query, "input.path")
    glob = "/".join(parts[first:])
    try:
        pattern = _glob_pattern(glob)
    except re.error as error:
        raise InputError(f"input.path: {name} is no glob: {error}; correct the [...]") from None
    return Selection(name, root, pattern), "/" in glob or "**" in glob


def _glob_pattern(glob: str) -> re.Pattern[str]:
    """Regular expression of a glob over relative paths; a folder that matches is taken whole."""
    if glob == "**" or glob.endswith("/**"):
        glob += "/*.parquet"
    translated = "".join(_translated(part) for part in _GLOB_PARTS.findall(glob))
    return re.compile(f"{translated}(?:/{_ANY_PARQUET})?", re.DOTALL)


def _translated(part: str) -> str:
    if part == "**/":
        return "(?:.*/)?"
    if part.startswith("*"):
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("[") and len(part) > 1:
        is_negated = part[1] == "!"
        body = re.sub(r"([\\^\[])", r"\\\1", part[2 if is_negated else 1 : -1])
        return f"[^/{body}]" if is_negated else f"[{body}]"
    return re.escape(part)


def _relative(path: str, root: str) -> str | None:
    prefix = root.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None
