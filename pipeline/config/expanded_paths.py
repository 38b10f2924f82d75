"""Expand `~`, `$NAME` and `${NAME}` in the paths of a job file."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.messages import error_of
from pipeline.config.overrides import Override, shortened, source_of

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\}|(\{))", re.ASCII)


def expand_paths(
    data: Mapping[str, Any], environment: Mapping[str, str], file: str, overrides: Mapping[str, Override]
) -> None:
    """Expand all paths in the content of a valid job file, in place; `file` and `overrides` are for messages.

    Raises ConfigError for variables that are not set, or empty: an output would go elsewhere.
    """
    problems = []
    for key, table, name in list(_paths(data)):
        paths = table[name]
        try:
            table[name] = (
                expanded_path(paths, environment)
                if isinstance(paths, str)
                else [expanded_path(path, environment) for path in paths]
            )
        except ValueError as error:
            problems.append(f"{shortened(key)}{source_of(key, overrides)}: {error}")
    if problems:
        raise error_of(file, problems)


def expanded_path(path: str, environment: Mapping[str, str]) -> str:
    """The path with the values of its variables, and the home folder for a `~` at its beginning; `$$` is `$`.

    Raises ValueError, which says what is wrong with a variable, or that there is no such user.
    """

    def value(match: re.Match[str]) -> str:
        dollar, bare, braced, open_brace = match.groups()
        if dollar:
            return "$"
        if open_brace:
            raise ValueError(
                f"found {path!r}, where ${{ begins no ${{NAME}}, expected the name of an environment variable; "
                "write $$ for a dollar sign"
            )
        name = bare or braced
        if not environment.get(name):
            state = "is empty" if name in environment else "is not set"
            raise ValueError(
                f"found {path!r}, where ${name} {state}, expected an environment variable with a value; set it, "
                "or write the path itself ($$ for a dollar sign)"
            )
        return environment[name]

    text = _VARIABLE.sub(value, path)
    found = os.path.expanduser(text)
    if text.startswith("~") and found == text:
        raise ValueError(
            f"found {path!r}, expected ~ for your home folder, or a user's name after it; write ./{path} for a "
            "name that begins with ~"
        )
    return found


def _paths(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The paths in a job file: the key of each, its table, and its name in the table."""
    for section in ("model", "input", "output"):
        yield f"{section}.path", data[section], "path"
    for head, table in data["heads"].items():
        yield from ((f"heads.{head}.{name}", table, name) for name in ("weights", "trunk") if name in table)
