"""The result of searching a folder: input files, and the folders that were searched."""

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass, field

from pipeline.input.passed_over import PassedOver
from pipeline.input.path_patterns import States

FolderId = tuple[int, int]
"""Device and inode of a local folder, the same for all of its paths."""


@dataclass(frozen=True)
class InputFile:
    """A file to read; `relative_path` is relative to its input root.

    Attributes:
        identity: the folder, the name in it, and the Hive partition; the same for all paths of the folder. Hard
            links are separate files.
        mtime_ns: the modification time, if known.
        problem: why it cannot be read, if that is known already; it may then be a folder.
        targets: the identities of all files on the way to the end of a symbolic link.
    """

    path: str
    relative_path: str
    identity: Hashable
    mtime_ns: int | None = None
    problem: str | None = None
    targets: tuple[Hashable, ...] = ()


def hive_folders(folder: str) -> tuple[str, ...]:
    """The Hive partition folders (`lang=de`) in a path."""
    return tuple(name for name in folder.split("/") if "=" in name)


@dataclass(frozen=True)
class FoundFiles:
    """Files, those reached through fewer symbolic links first; and local folders with their pattern states."""

    files: list[InputFile]
    passed_over: PassedOver
    folders: Mapping[FolderId, Set[States]] = field(default_factory=dict)
