"""Check before any work that no path of the output, derived from the input's, is too long for its file system."""

import os
from dataclasses import dataclass

from pipeline.errors import InputError
from pipeline.fragments import part_stem
from pipeline.input.fragment_table import FragmentTable
from pipeline.output.manifest import RUN, file_record_path, staged_record_path
from pipeline.output.output_folder import FAILED, RESTART, OutputFolder, staged_path
from pipeline.storage.printable import printable

MAX_KEY_BYTES = 1024
"""The longest name of an object on S3, Google Cloud Storage and Azure."""

# Names derived from an input file are longer than its relative path by less than this.
_MOST_ADDED_BYTES = 100


@dataclass(frozen=True)
class PathLimits:
    """The most bytes of a name, and of a path in the file system or bucket."""

    name_bytes: int
    path_bytes: int

    @classmethod
    def of(cls, output: OutputFolder) -> "PathLimits":
        """The limits of the file system of an output."""
        if not output.is_local:
            return cls(MAX_KEY_BYTES, MAX_KEY_BYTES)
        folder = output.root
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        # The system's limit includes the terminating null byte.
        return cls(os.pathconf(folder, "PC_NAME_MAX"), os.pathconf(folder, "PC_PATH_MAX") - 1)

    def problem(self, path: str) -> str | None:
        """What is too long about a path, or None."""
        name = max(path.split("/"), key=_size)
        if _size(name) > self.name_bytes:
            return f"the name {_shown(name)} has {_size(name)} bytes, expected at most {self.name_bytes}"
        if _size(path) > self.path_bytes:
            return f"the path {_shown(path)} has {_size(path)} bytes, expected at most {self.path_bytes}"
        return None


def require_fitting_root(output: OutputFolder) -> None:
    """Raise InputError if the path of the output itself is too long."""
    problem = PathLimits.of(output).problem(_whole(output, f"{RESTART}/{RUN}"))
    if problem is not None:
        raise InputError(f"output.path: {problem}; choose a shorter one")


def require_fitting_names(output: OutputFolder, table: FragmentTable) -> None:
    """Raise InputError if any path that a run may write is too long."""
    limits = PathLimits.of(output)
    most = min(limits.name_bytes, limits.path_bytes - _size(output.root)) - _MOST_ADDED_BYTES
    for index, file in enumerate(table.files):
        if _size(file.relative_path) <= most:
            continue
        paths = [file_record_path(part_stem(file.relative_path))]
        # The last one has the longest number.
        paths += [path for i in table.indices_of(index)[-1:] for path in _paths_of(table[i].part_path)]
        problems = [limits.problem(_whole(output, f"{RESTART}/{path}")) for path in paths]
        problem = next((problem for problem in problems if problem is not None), None)
        if problem is not None:
            raise InputError(
                f"output.path: for the input {printable(file.relative_path)}, {problem}; shorten the names of its "
                "folders, choose a shorter output.path, or give a folder further down as input.path"
            )


def _paths_of(part_path: str) -> list[str]:
    return [staged_path(part_path), staged_record_path(part_path), f"{FAILED}/{part_path}.json"]


def _whole(output: OutputFolder, path: str) -> str:
    whole = f"{output.root.rstrip('/')}/{path}"
    return whole if output.is_local else whole.lstrip("/").partition("/")[2]


def _size(name: str) -> int:
    return len(name.encode(errors="surrogateescape"))


def _shown(name: str) -> str:
    name = printable(name)
    return name if len(name) <= 100 else f"{name[:100]}..."
