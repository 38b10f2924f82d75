"""Names of files as they may be printed: in one line, in UTF-8, and without control characters."""

import re

# Control characters, the other ends of lines, and what Python makes of bytes that are not UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(name: str) -> str:
    r"""A name or path with what cannot be printed in escaped form, such as `\n`, or `\xe9` for a byte."""
    return _UNPRINTABLE.sub(_escaped, name)


def is_utf8(name: str) -> bool:
    """Whether a name or path of the local disk is UTF-8, which Arrow and JSON need."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
