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
        identity: the same for a file and the symbolic links to it. Hard links are files of their own, as none of
            them is the other's copy.
        mtime_ns: the time of its last change, where the file system tells.
        problem: why it cannot be read, where that is known already; it may be a folder then.
    """

    path: str
    relative_path: str
    identity: Hashable
    mtime_ns: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class FoundFiles:
    """Files with fewer symbolic links on the way come first; `folders` are local ones, with their states."""

    files: list[InputFile]
    passed_over: PassedOver
    folders: Mapping[FolderId, Set[States]] = field(default_factory=dict)
