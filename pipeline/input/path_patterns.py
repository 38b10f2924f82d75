"""Match the paths below a folder: all Parquet files, or a glob.

Patterns are matched name by name, so that a walk can skip folders in which nothing can match. Names that start
with `_` or `.` are hidden, as for other readers of Parquet folders.
"""

import re
from dataclasses import dataclass

SUFFIX = ".parquet"
_WILDCARDS = re.compile(r"\*+|\?|\[[^\]/]+\]|.", re.DOTALL)

States = frozenset[int]
"""The possible numbers of a pattern's parts that the names of a path have matched (states of an NFA)."""


@dataclass(frozen=True)
class PathPattern:
    """`parts` are regular expressions for one name each, or None for `**`, any number of folders.

    A file that matches all parts is selected whatever its suffix, and a folder with all its Parquet files. Without
    parts, this is the folder where the pattern begins.
    """

    parts: tuple[re.Pattern[str] | None, ...] = ()

    @classmethod
    def of_glob(cls, glob: str) -> "PathPattern":
        """The pattern of a glob, relative to the folder where it begins. Raises re.error if it is invalid."""
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
        """The states in the folder where the pattern begins."""
        return self._closed({0})

    def below(self, states: States, name: str) -> States:
        """The states in a subfolder of a folder with `states`; empty if nothing below it can match."""
        if is_hidden(name):
            return frozenset()
        end = len(self.parts)
        found = {i for i in states if i == end or self.parts[i] is None}
        return self._closed(found | {i + 1 for i in states if self._matches(i, name)})

    def selects(self, states: States, name: str) -> bool:
        """Whether a file in a folder with `states` matches."""
        if is_hidden(name):
            return False
        end = len(self.parts)
        return (end in states and name.endswith(SUFFIX)) or (end - 1 in states and self._matches(end - 1, name))

    def _matches(self, index: int, name: str) -> bool:
        part = self.parts[index] if 0 <= index < len(self.parts) else None
        return part is not None and part.fullmatch(name) is not None

    def _closed(self, states: set[int]) -> States:
        """The states, with those reached if `**` matches no folder."""
        for index, part in enumerate(self.parts):
            if part is None and index in states:
                states.add(index + 1)
        return frozenset(states)


def is_hidden(name: str) -> bool:
    """Whether readers of Parquet folders ignore a file or folder of this name."""
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
