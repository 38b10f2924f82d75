"""Pairs on the command line, `NAME=VALUE,NAME=VALUE`; a backslash stands before a comma or `=` within a name."""

import re
import shlex
from collections.abc import Mapping

from pipeline.errors import ConfigError

_COMMA, _EQUALS = re.compile(r"(?<!\\),"), re.compile(r"(?<!\\)=")


def parse_pairs(option: str, text: str) -> dict[str, str]:
    """The pairs by name. Raises ConfigError for anything else, and for a name that is there twice."""
    found: dict[str, str] = {}
    for pair in _COMMA.split(text):
        name, *value = (_plain(part) for part in _EQUALS.split(pair, maxsplit=1))
        if not name or value in ([], [""]):
            raise ConfigError(f"{option}: found {text!r}, expected NAME=VALUE,NAME=VALUE,…; correct it")
        if name in found:
            raise ConfigError(f"{option}: found {name} twice in {text!r}, expected each name once; correct it")
        found[name] = value[0]
    return found


def written_pairs(pairs: Mapping[str, str]) -> str:
    """Pairs as `parse_pairs` reads them, quoted for the shell."""
    return shlex.quote(",".join(f"{_escaped(name)}={_escaped(value)}" for name, value in pairs.items()))


def _plain(part: str) -> str:
    return re.sub(r"\\([,=])", r"\1", part.strip())


def _escaped(part: str) -> str:
    return re.sub(r"([,=])", r"\\\1", part)
