"""Find the files below a local folder that match a pattern, following symbolic links.

A folder that is reached by several paths, through links or mounts, is searched once, by the path with fewest
links; but once for each Hive partition, such as `lang=de` and `lang=en`.
"""

import heapq
import os
import stat
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pipeline.input.found_files import FolderId, FoundFiles, InputFile, hive_folders
from pipeline.input.passed_over import PassedOver, is_notable_file, is_notable_folder, may_be_folder
from pipeline.input.path_patterns import PathPattern, States
from pipeline.storage.printable import is_utf8, printable


def walk(root: str, pattern: PathPattern) -> FoundFiles:
    """The files below a folder that match a pattern. Raises OSError if the folder itself cannot be listed."""
    return _Walk(pattern).run(root)


def folder_id(path: str) -> FolderId:
    """The identity of a folder. Raises OSError."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def single_file(path: str) -> FoundFiles:
    """An existing file or link, without a listing of its folder. Raises OSError."""
    root, name = os.path.split(path)
    pattern, identity = PathPattern.of_name(name), folder_id(root)
    is_selected = pattern.selects(pattern.start, name)
    hive = hive_folders(root)
    files = [_input_file(path, name, identity, hive, is_link=os.path.islink(path))] if is_selected else []
    return FoundFiles(files, PassedOver(), {identity: {pattern.start}})


def _input_file(
    path: str, relative_path: str, folder: FolderId, hive: tuple[str, ...], *, is_link: bool
) -> InputFile:
    """A file in a folder. Raises FileNotFoundError if it no longer exists."""
    try:
        status = os.stat(path)
        targets = _targets(path, hive) if is_link else ()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not is_link:
            raise
        why = _broken_link(path, error) if is_link else f"{error.strerror}; check the permissions"
        return InputFile(path, relative_path, path, problem=why)
    problem = None
    if not stat.S_ISREG(status.st_mode):
        problem = "a pipe, socket or device, expected a regular file; take it out of the input"
    elif not is_utf8(relative_path):
        problem = "its name or that of its folder is not UTF-8, expected UTF-8; rename it"
    identity = (folder, os.path.basename(path), hive)
    return InputFile(path, relative_path, identity, status.st_mtime_ns, problem, targets)


def _targets(path: str, hive: tuple[str, ...]) -> tuple[Hashable, ...]:
    """The identities of all files on the way to the end of a link. Raises OSError."""
    targets: list[Hashable] = []
    while os.path.islink(path):
        path = os.path.join(os.path.dirname(path), os.readlink(path))
        folder, name = os.path.split(path)
        targets.append((folder_id(folder), name, hive))
    return tuple(targets)


@dataclass(order=True, frozen=True)
class _Place:
    """A path of a file or folder; ordered by the number of links on the way."""

    num_links: int
    relative: str
    path: str = field(compare=False)
    states: States = field(compare=False)
    hive: tuple[str, ...] = field(default=(), compare=False)
    above: Mapping[FolderId, tuple[str, ...]] = field(default_factory=dict, compare=False)
    """The folders on the way, each with its `hive`."""


class _Walk:
    def __init__(self, pattern: PathPattern) -> None:
        self._pattern = pattern
        self._files: list[tuple[int, InputFile]] = []
        self._names: list[str] = []
        self._broken_links: list[str] = []
        self._aliases: list[tuple[str, str]] = []
        self._searched: dict[tuple[FolderId, States, tuple[str, ...]], str] = {}
        self._waiting: list[_Place] = []

    def run(self, root: str) -> FoundFiles:
        self._search(_Place(0, "", root, self._pattern.start, hive_folders(root)))
        while self._waiting:
            folder = heapq.heappop(self._waiting)
            try:
                self._search(folder)
            except OSError as error:
                self._add_problem(folder, f"the folder cannot be listed: {error.strerror}; check the permissions")
        folders: dict[FolderId, set[States]] = {}
        for identity, states, _ in self._searched:
            folders.setdefault(identity, set()).add(states)
        passed_over = PassedOver(tuple(self._names), tuple(self._broken_links), tuple(self._aliases))
        files = sorted(self._files, key=lambda found: (found[0], found[1].relative_path))
        return FoundFiles([file for _, file in files], passed_over, folders)

    def _search(self, folder: _Place) -> None:
        identity = folder_id(folder.path)
        # A link back to a folder above does not change the partition.
        hive = folder.above.get(identity, folder.hive)
        key = identity, folder.states, hive
        if key in self._searched:
            self._aliases.append((folder.path, self._searched[key]))
            return
        with os.scandir(folder.path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        self._searched[key] = folder.path
        folder = replace(folder, hive=hive, above={**folder.above, identity: hive})
        for entry in found:
            self._enter(folder, identity, entry)

    def _enter(self, folder: _Place, identity: FolderId, entry: os.DirEntry[str]) -> None:
        """Handle one entry of a folder."""
        name, states, is_link = entry.name, folder.states, entry.is_symlink()
        path = f"{folder.path.rstrip('/')}/{name}"
        relative = f"{folder.relative}/{name}" if folder.relative else name
        num_links = folder.num_links + is_link
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode) if is_link else entry.is_dir()
        except OSError as error:
            below = self._pattern.below(states, name)
            if self._pattern.selects(states, name) or (below and may_be_folder(name)):
                self._add_problem(_Place(num_links, relative, path, below), _broken_link(path, error))
            elif below:
                self._broken_links.append(path)
            return
        if is_folder:
            if below := self._pattern.below(states, name):
                hive = (*folder.hive, *hive_folders(name))
                heapq.heappush(self._waiting, _Place(num_links, relative, path, below, hive, folder.above))
            elif is_notable_folder(self._pattern, states, name):
                self._names.append(f"{path}/")
        elif self._pattern.selects(states, name):
            with suppress(FileNotFoundError):  # deleted since the listing
                file = _input_file(path, relative, identity, folder.hive, is_link=is_link)
                self._files.append((num_links, file))
        elif is_notable_file(self._pattern, states, name):
            self._names.append(path)

    def _add_problem(self, place: _Place, problem: str) -> None:
        self._files.append((place.num_links, InputFile(place.path, place.relative, place.path, problem=problem)))


def _broken_link(path: str, error: OSError) -> str:
    target = printable(os.readlink(path))
    return f"a symbolic link to {target} that leads nowhere ({error.strerror}); fetch the file, or remove the link"
