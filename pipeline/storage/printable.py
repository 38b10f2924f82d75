"""Escape names of files for printing, shorten lists of names, and put numbers before nouns."""

import re
from collections.abc import Sequence

# Control characters, other line separators, and the surrogates that Python makes of invalid UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(name: str) -> str:
    r"""A name or path in one line, with escapes such as `\n`, or `\xe9` for a byte that is not UTF-8."""
    return _UNPRINTABLE.sub(_escaped, name)


def is_utf8(name: str) -> bool:
    """Whether a name or path of the local disk is UTF-8, as Arrow and JSON require."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def shortened(names: Sequence[str], max_shown: int = 10) -> str:
    """The first names, escaped for printing, and how many more there are."""
    more = f" and {len(names) - max_shown:,} more" if len(names) > max_shown else ""
    return ", ".join(map(printable, names[:max_shown])) + more


def number_of(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things: `1 row`, `2,000 rows`; `plural` is given where it is more than an s after the noun."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
