"""Report paths that look like input but are passed over: hidden names, broken links, second names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pipeline.input.path_patterns import SUFFIX, PathPattern, States, is_hidden
from pipeline.storage.printable import number_of, shortened

_PARQUET_NAME = re.compile(r"(.*?)\.(?:parquet|parq|pqt?)(?:\.[^.]*)?", re.IGNORECASE | re.DOTALL)
_CHECKSUM = ".crc"
# Folders of Spark, Hadoop, Delta Lake and of this project's outputs, which contain no rows.
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
    """Paths that are not input, in the order in which they were found.

    Attributes:
        names: of apparent Parquet files or folders of them that start with `_` or `.` or have another suffix;
            folders end with a slash.
        broken_links: dangling symbolic links that are named neither like Parquet files nor like folders.
        aliases: second paths of files and folders, with the path that is input.
    """

    names: tuple[str, ...] = ()
    broken_links: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_all(cls, several: Iterable["PassedOver"]) -> Self:
        """The paths of several searches, without duplicates."""
        found = list(several)
        return cls(
            tuple(dict.fromkeys(name for some in found for name in some.names)),
            tuple(dict.fromkeys(link for some in found for link in some.broken_links)),
            tuple(dict.fromkeys(alias for some in found for alias in some.aliases)),
        )

    @property
    def lines(self) -> list[str]:
        """Messages for the user, one for each kind."""
        aliases = [f"{alias} (is {path})" for alias, path in self.aliases]
        other_names = f"with names that start with _ or ., or do not end with {SUFFIX}"
        twice = "found under two names, and read once"
        return [
            f"passed over: {number_of(len(paths), one, several)}: {shortened(paths)}"
            for paths, one, several in (
                (self.names, other_names, other_names),
                (self.broken_links, "symbolic link that leads nowhere", "symbolic links that lead nowhere"),
                (aliases, twice, twice),
            )
            if paths
        ]


def is_notable_file(pattern: PathPattern, states: States, name: str) -> bool:
    """Whether an unselected file would be selected but for the first letter or the suffix of its name."""
    match = _PARQUET_NAME.fullmatch(name)
    if match is None or name.lower().endswith(_CHECKSUM):
        return False
    return pattern.selects(states, match.group(1).lstrip("_.") + SUFFIX)


def is_notable_folder(pattern: PathPattern, states: States, name: str) -> bool:
    """Whether a hidden folder may contain input: a Hive partition, or one that begins with `_`."""
    if not is_hidden(name) or name in _KNOWN_FOLDERS or (name.startswith(".") and "=" not in name):
        return False
    return bool(pattern.below(states, name.lstrip("_.") or name))


def may_be_folder(name: str) -> bool:
    """Whether a link with this name may lead to a folder: it has no file suffix."""
    return re.search(r"\.[A-Za-z][A-Za-z0-9]{0,9}$", name) is None
