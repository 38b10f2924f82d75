"""What a user may have meant as input and that is none: counted, and named once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.input.path_patterns import SUFFIX, PathPattern, States, is_hidden
from pipeline.storage.printable import printable

_MAX_SHOWN = 10
_PARQUET_NAME = re.compile(r"(.*?)\.(?:parquet|parq|pqt?)(?:\.[^.]*)?", re.IGNORECASE | re.DOTALL)
_CHECKSUM = ".crc"
# Folders of Spark, Hadoop, Delta Lake and of this project's outputs, which hold no rows of their own.
_KNOWN_FOLDERS = {
    "_change_data",
    "_delta_log",
    "_incomplete",
    "_manifest",
    "_restart",
    "_spark_metadata",
    "_staged",
    "_temporary",
}


@dataclass(frozen=True)
class PassedOver:
    """Paths of files and folders that are no input, in the order in which they were found.

    Attributes:
        names: those with names like Parquet files or their folders, which start with `_` or `.` or have another
            suffix; folders end with a slash.
        broken_links: symbolic links that lead nowhere, and whose names are of neither Parquet files nor folders.
        aliases: of files and folders that are input under another path, and that path.
    """

    names: tuple[str, ...] = ()
    broken_links: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_all(cls, several: Iterable["PassedOver"]) -> Self:
        """What several searches passed over, each path once."""
        found = list(several)
        return cls(
            tuple(dict.fromkeys(name for some in found for name in some.names)),
            tuple(dict.fromkeys(link for some in found for link in some.broken_links)),
            tuple(dict.fromkeys(alias for some in found for alias in some.aliases)),
        )

    @property
    def lines(self) -> list[str]:
        """What there is to say to people, a line for each kind."""
        aliases = [f"{alias} (is {path})" for alias, path in self.aliases]
        return [
            f"passed over: {len(paths):,} {what}: {_shown(paths)}"
            for paths, what in (
                (self.names, f"with names that start with _ or ., or do not end with {SUFFIX}"),
                (self.broken_links, "symbolic links that lead nowhere"),
                (aliases, "found under two names, and read once"),
            )
            if paths
        ]


def is_notable_file(pattern: PathPattern, states: States, name: str) -> bool:
    """Whether a file that is not selected would be, were it not for the first letter or the suffix of its name."""
    match = _PARQUET_NAME.fullmatch(name)
    if match is None or name.lower().endswith(_CHECKSUM):
        return False
    return pattern.selects(states, match.group(1).lstrip("_.") + SUFFIX)


def is_notable_folder(pattern: PathPattern, states: States, name: str) -> bool:
    """Whether a folder that is hidden might hold input: one of Hive's, or that begins with `_`."""
    if not is_hidden(name) or name in _KNOWN_FOLDERS or (name.startswith(".") and "=" not in name):
        return False
    return bool(pattern.below(states, name.lstrip("_.") or name))


def may_be_folder(name: str) -> bool:
    """Whether a link of this name may lead to a folder, and not to a file of some other kind."""
    return re.search(r"\.[A-Za-z][A-Za-z0-9]{0,9}$", name) is None


def _shown(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MAX_SHOWN:,} more" if len(paths) > _MAX_SHOWN else ""
    return ", ".join(printable(path) for path in paths[:_MAX_SHOWN]) + more
