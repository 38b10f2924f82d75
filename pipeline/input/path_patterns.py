"""Which paths below a folder are input: all Parquet files, or those that a glob stands for.

A pattern is matched one name at a time, so that a walk knows at each folder whether anything below it can be
input. Names that start with `_` or `.` are passed over, as readers of folders do.
"""

import re
from dataclasses import dataclass

SUFFIX = ".parquet"
_WILDCARDS = re.compile(r"\*+|\?|\[[^\]/]+\]|.", re.DOTALL)

States = frozenset[int]
"""Positions in a pattern that the names of a path lead to: how many of its parts they have used up."""


@dataclass(frozen=True)
class PathPattern:
    """`parts` are expressions for one name each, or None for `**`, any number of folders.

    What matches all of the parts is input: a file whatever its suffix, a folder with all its Parquet files.
    Without parts that is the folder that the pattern begins at.
    """

    parts: tuple[re.Pattern[str] | None, ...] = ()

    @classmethod
    def of_glob(cls, glob: str) -> "PathPattern":
        """The pattern of a glob, relative to the folder where it begins. Raises re.error where it is none."""
        names = [name for name in glob.split("/") if name not in ("", ".")]
        if names[-1] == "**":
            names.append(f"*{SUFFIX}")
        return cls(tuple(None if name == "**" else _expression(name) for name in names))

    @classmethod
    def of_name(cls, name: str) -> "PathPattern":
        """The pattern of one file."""
        return cls((re.compile(re.escape(name)),))

    @property
    def start(self) -> States:
        """The states at the folder where the pattern begins."""
        return self._closed({0})

    def below(self, states: States, name: str) -> States:
        """The states at a folder in a folder with `states`; none if nothing below it can be input."""
        if is_hidden(name):
            return frozenset()
        end = len(self.parts)
        found = {i for i in states if i == end or self.parts[i] is None}
        return self._closed(found | {i + 1 for i in states if self._matches(i, name)})

    def selects(self, states: States, name: str) -> bool:
        """Whether a file in a folder with `states` is input."""
        if is_hidden(name):
            return False
        end = len(self.parts)
        return (end in states and name.endswith(SUFFIX)) or (end - 1 in states and self._matches(end - 1, name))

    def _matches(self, index: int, name: str) -> bool:
        part = self.parts[index] if 0 <= index < len(self.parts) else None
        return part is not None and part.fullmatch(name) is not None

    def _closed(self, states: set[int]) -> States:
        """With the states that `**` leads to when it stands for no folder."""
        for index, part in enumerate(self.parts):
            if part is None and index in states:
                states.add(index + 1)
        return frozenset(states)


def is_hidden(name: str) -> bool:
    """Whether readers of folders pass over a file or folder of this name."""
    return name.startswith(("_", "."))


def _expression(glob: str) -> re.Pattern[str]:
    return re.compile("".join(_translated(part) for part in _WILDCARDS.findall(glob)), re.DOTALL)


def _translated(part: str) -> str:
    if part.startswith("*"):
        return ".*"
    if part == "?":
        return "."
    if part.startswith("[") and len(part) > 1:
        is_negated = part[1] == "!"
        body = re.sub(r"([\\^\[])", r"\\\1", part[2 if is_negated else 1 : -1])
        return f"[^{body}]" if is_negated else f"[{body}]"
    return re.escape(part)
