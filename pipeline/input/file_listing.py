"""Resolve `input.path` (files, folders, globs; local, s3://, gs://) to the list of input files."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pyarrow import fs

from pipeline.errors import InputError
from pipeline.input.found_files import FolderId, FoundFiles, InputFile
from pipeline.input.local_walk import folder_id, single_file, walk
from pipeline.input.passed_over import PassedOver
from pipeline.input.path_patterns import PathPattern, States
from pipeline.input.store_walk import walk_store
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import ask_store, is_uri, resolve_path
from pipeline.storage.printable import printable
from pipeline.storage.retries import retry_transient
from pipeline.storage.store_files import is_local
from pipeline.storage.submitted_folder import submitted_folder

_WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Selection:
    """The files of one entry of `input.path`: those under `root` that match the pattern.

    `folders` are the local folders that were searched, with the states of the pattern in them.
    """

    entry: str
    root: str
    pattern: PathPattern
    folders: Mapping[FolderId, Set[States]] = field(default_factory=dict)

    def states_in(self, folder: str) -> set[States]:
        """The states of the pattern in a folder, by any of its paths; it need not exist."""
        found = {self._states_by_name(folder)}
        above, below = os.path.realpath(folder), tuple[str, ...]()
        while self.folders:
            with suppress(OSError):
                found |= {self._descend(states, below) for states in self.folders.get(folder_id(above), ())}
            if above == "/":
                break
            above, name = os.path.split(above)
            below = (name, *below)
        return found

    def _states_by_name(self, folder: str) -> States:
        relative = _relative(f"{folder}/", self.root)
        return frozenset() if relative is None else self._descend(self.pattern.start, relative.split("/")[:-1])

    def _descend(self, states: States, names: Sequence[str]) -> States:
        for name in names:
            states = self.pattern.below(states, name)
        return states


class Listing(NamedTuple):
    """The input files, sorted by relative path, and how they were found."""

    filesystem: fs.FileSystem
    files: list[InputFile]
    selections: list[Selection]
    passed_over: PassedOver


def list_input_files(entries: Sequence[str], field: str = "input.path") -> Listing:
    """Every input file once, even if several paths lead to it; `field` is what messages call the entries.

    A symbolic link to another input file is an alias of it. Links to files elsewhere are files of their own: in
    content-addressed caches (of the hub, DVC, git-annex), two files of equal content link to the same file.

    Raises InputError if an entry matches nothing or cannot be listed, or entries are on different file systems.
    """
    files: dict[Hashable, InputFile] = {}
    selections = []
    passed_over: list[PassedOver] = []
    aliases: list[tuple[str, str]] = []
    filesystem: fs.FileSystem | None = None
    for entry in entries:
        entry_filesystem, path = resolve_path(entry, field)
        if filesystem is not None and not filesystem.equals(entry_filesystem):
            raise InputError(
                f"{field}: {without_secret(entry)} and {without_secret(entries[0])} are on "
                "different file systems, expected one; run one job for each"
            )
        filesystem = entry_filesystem
        selection, found = _select(filesystem, entry, path, field)
        selections.append(selection)
        passed_over.append(found.passed_over)
        for file in found.files:
            first = files.setdefault(file.identity, file)
            if first.path != file.path:
                aliases.append((file.path, first.path))
    assert filesystem is not None
    links = {
        identity: files[target] for identity, link in files.items() for target in link.targets if target in files
    }
    aliases += [(files[identity].path, file.path) for identity, file in links.items()]
    kept = [file for identity, file in files.items() if identity not in links]
    if is_local(filesystem) and (copy := submitted_folder(os.environ)) is not None:
        kept = [_without_time(file, copy) for file in kept]
    ordered = sorted(kept, key=lambda f: (f.relative_path, f.path))
    passed_over.append(PassedOver(aliases=tuple(aliases)))
    return Listing(filesystem, ordered, selections, PassedOver.of_all(passed_over))


def _without_time(file: InputFile, copy: Path) -> InputFile:
    """A file as it is compared with earlier runs: each submission unpacks the copy anew, at another time."""
    return replace(file, mtime_ns=None) if Path(os.path.realpath(file.path)).is_relative_to(copy) else file


def _select(filesystem: fs.FileSystem, entry: str, path: str, field: str) -> tuple[Selection, FoundFiles]:
    """The files of one entry. An existing path is not a glob, even if it contains wildcards."""
    name = without_secret(printable(entry))
    root, pattern, found = (
        _find_locally(entry, path, field)
        if is_local(filesystem)
        else _find_in_store(filesystem, entry, path, field)
    )
    if not found.files:
        raise InputError(
            f"{field}: {name} matches no Parquet file; check the path (names that start "
            "with _ or . are passed over, and a folder is searched for *.parquet)"
            + "".join(f"; {line}" for line in found.passed_over.lines)
        )
    return Selection(name, root, pattern, found.folders), found


def _find_locally(entry: str, path: str, field: str) -> tuple[str, PathPattern, FoundFiles]:
    def find() -> tuple[str, PathPattern, FoundFiles]:
        if os.path.isdir(path):
            return path, PathPattern(), walk(path, PathPattern())
        if os.path.lexists(path):
            root, name = os.path.split(path)
            return root, PathPattern.of_name(name), single_file(path)
        root, pattern = _glob(entry, field)
        return root, pattern, walk(root, pattern)

    try:
        return retry_transient(find)
    except OSError as error:
        raise InputError(
            f"{field}: {printable(entry)} cannot be listed: {error.strerror}; check path and permissions"
        ) from None


def _find_in_store(
    filesystem: fs.FileSystem, entry: str, path: str, field: str
) -> tuple[str, PathPattern, FoundFiles]:
    info = ask_store(lambda: filesystem.get_file_info(path), field, entry)
    if info.type == fs.FileType.File:
        root, _, name = path.rpartition("/")
        pattern = PathPattern.of_name(name)
        file = InputFile(path, name, path, info.mtime_ns)
        return root, pattern, FoundFiles([file] if pattern.selects(pattern.start, name) else [], PassedOver())
    root, pattern = (path, PathPattern()) if info.type == fs.FileType.Directory else _glob(entry, field)
    return root, pattern, ask_store(lambda: walk_store(filesystem, root, pattern), field, entry)


def _glob(entry: str, field: str) -> tuple[str, PathPattern]:
    """The longest folder of a glob without wildcards, and the pattern below it.

    Raises InputError if the entry has no wildcards, as it then does not exist.
    """
    name = without_secret(printable(entry))
    location, mark, query = entry.partition("?") if is_uri(entry) else (entry, "", "")
    parts = location.rstrip("/").split("/")
    first = next((i for i, part in enumerate(parts) if _WILDCARDS.search(part)), None)
    if first is None:
        where = "" if is_uri(entry) or os.path.isabs(entry) else f" in {printable(os.getcwd())}"
        raise InputError(f"{field}: {name} does not exist{where}; check the path")
    base = "/".join(parts[:first]) or ("/" if first else ".")
    _, root = resolve_path(base + mark + query, field)
    try:
        return root, PathPattern.of_glob("/".join(parts[first:]))
    except re.error as error:
        raise InputError(f"{field}: {name} is not a valid glob: {error}; correct the [...]") from None


def _relative(path: str, root: str) -> str | None:
    prefix = root.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None
