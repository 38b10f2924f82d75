"""Paths of the job file (files, folders, globs; local, s3://, gs://) to files of a file system."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
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

_WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Selection:
    """The files that one entry of `input.path` stands for: those under `root` that match.

    `folders` are the local folders that were searched for them, with the states of the pattern there.
    """

    entry: str
    root: str
    pattern: PathPattern
    folders: Mapping[FolderId, Set[States]] = field(default_factory=dict)

    def states_in(self, folder: str) -> set[States]:
        """The states of the pattern in a folder, which need not be there, whatever names lead to it."""
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
    """What `input.path` stands for; `files` are sorted by relative path."""

    filesystem: fs.FileSystem
    files: list[InputFile]
    selections: list[Selection]
    passed_over: PassedOver


def list_input_files(entries: Sequence[str]) -> Listing:
    """Every file that `input.path` stands for, once, whatever names lead to it.

    A symbolic link to a file that is input itself is another name of that file. Links to a file elsewhere are
    files of their own: caches that name files by their content (of the hub, DVC, git-annex) consist of such links,
    and two of them lead to one file where two files have the same content.

    Raises InputError where an entry stands for nothing or cannot be listed, or where entries lie
    on different file systems.
    """
    files: dict[Hashable, InputFile] = {}
    selections = []
    passed_over: list[PassedOver] = []
    aliases: list[tuple[str, str]] = []
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
        passed_over.append(found.passed_over)
        for file in found.files:
            first = files.setdefault(file.identity, file)
            if first.path != file.path:
                aliases.append((file.path, first.path))
    assert filesystem is not None
    links = _links_within(files)
    aliases += [(files[identity].path, file.path) for identity, file in links.items()]
    kept = [file for identity, file in files.items() if identity not in links]
    ordered = sorted(kept, key=lambda f: (f.relative_path, f.path))
    passed_over.append(PassedOver(aliases=tuple(aliases)))
    return Listing(filesystem, ordered, selections, PassedOver.of_all(passed_over))


def _links_within(files: Mapping[Hashable, InputFile]) -> dict[Hashable, InputFile]:
    """By identity, the links to other ones of these files, and these."""
    return {
        identity: files[target] for identity, link in files.items() for target in link.targets if target in files
    }


def _select(filesystem: fs.FileSystem, entry: str, path: str) -> tuple[Selection, FoundFiles]:
    """What one entry stands for; a path that is there is taken as it is, wildcards or not."""
    name = without_secret(printable(entry))
    root, pattern, found = (
        _find_locally(entry, path) if is_local(filesystem) else _find_in_store(filesystem, entry, path)
    )
    if not found.files:
        raise InputError(
            f"input.path: {name} stands for no Parquet file; check the path (names that start "
            "with _ or . are passed over, and a folder is searched for *.parquet)"
            + "".join(f"; {line}" for line in found.passed_over.lines)
        )
    return Selection(name, root, pattern, found.folders), found


def _find_locally(entry: str, path: str) -> tuple[str, PathPattern, FoundFiles]:
    def find() -> tuple[str, PathPattern, FoundFiles]:
        if os.path.isdir(path):
            return path, PathPattern(), walk(path, PathPattern())
        if os.path.lexists(path):
            root, name = os.path.split(path)
            return root, PathPattern.of_name(name), single_file(path)
        root, pattern = _glob(entry)
        return root, pattern, walk(root, pattern)

    try:
        return retry_transient(find)
    except OSError as error:
        raise InputError(
            f"input.path: {printable(entry)} cannot be listed: {error.strerror}; check the path and the rights"
        ) from None


def _find_in_store(filesystem: fs.FileSystem, entry: str, path: str) -> tuple[str, PathPattern, FoundFiles]:
    info = ask_store(lambda: filesystem.get_file_info(path), "input.path", entry)
    if info.type == fs.FileType.File:
        root, _, name = path.rpartition("/")
        pattern = PathPattern.of_name(name)
        file = InputFile(path, name, path, info.mtime_ns)
        return root, pattern, FoundFiles([file] if pattern.selects(pattern.start, name) else [], PassedOver())
    root, pattern = (path, PathPattern()) if info.type == fs.FileType.Directory else _glob(entry)
    return root, pattern, ask_store(lambda: walk_store(filesystem, root, pattern), "input.path", entry)


def _glob(entry: str) -> tuple[str, PathPattern]:
    """The longest folder of a glob without wildcards, and the pattern below it.

    Raises InputError where the entry is no glob, as it then names nothing.
    """
    name = without_secret(printable(entry))
    location, mark, query = entry.partition("?") if is_uri(entry) else (entry, "", "")
    parts = location.rstrip("/").split("/")
    first = next((i for i, part in enumerate(parts) if _WILDCARDS.search(part)), None)
    if first is None:
        raise InputError(f"input.path: {name} does not exist; check the path")
    base = "/".join(parts[:first]) or ("/" if first else ".")
    _, root = resolve_path(base + mark + query, "input.path")
    try:
        return root, PathPattern.of_glob("/".join(parts[first:]))
    except re.error as error:
        raise InputError(f"input.path: {name} is no glob: {error}; correct the [...]") from None


def _relative(path: str, root: str) -> str | None:
    prefix = root.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None
