"""What a search of a folder comes to: files to read, and folders that were searched."""

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass, field

from pipeline.input.passed_over import PassedOver
from pipeline.input.path_patterns import States

FolderId = tuple[int, int]
"""Device and inode of a local folder: what all of its names have in common."""


@dataclass(frozen=True)
class InputFile:
    """A file to read: its path in the file system, and relative to the input root it is under.

    Attributes:
        identity: the folder, the name in it, and the values that its folders give its rows; the same whatever
            names lead to the folder. Hard links are files of their own, as none of them is the other's copy.
        targets: of a symbolic link, the identities of what it leads to, step by step.
        mtime_ns: the time of its last change, where the file system tells.
        problem: why it cannot be read, where that is known already; it may be a folder then.
    """

    path: str
    relative_path: str
    identity: Hashable
    mtime_ns: int | None = None
    problem: str | None = None
    targets: tuple[Hashable, ...] = ()


def hive_folders(folder: str) -> tuple[str, ...]:
    """The names in a folder's path that give rows a value (`lang=de`)."""
    return tuple(name for name in folder.split("/") if "=" in name)


@dataclass(frozen=True)
class FoundFiles:
    """Files with fewer symbolic links on the way come first; `folders` are local ones, with their states."""

    files: list[InputFile]
    passed_over: PassedOver
    folders: Mapping[FolderId, Set[States]] = field(default_factory=dict)
