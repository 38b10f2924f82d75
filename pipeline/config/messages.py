"""Convert Pydantic's validation errors to one message with field, found, expected and remedy of each."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipeline.config.fields import field_at, section_at, value_at
from pipeline.config.overrides import Override, shortened, source_of
from pipeline.errors import ConfigError
from pipeline.tasks.all_tasks import HEAD_SECTIONS

_MAX_PROBLEMS = 10
_MAX_PROBLEM_CHARS = 700
_TYPE_NAMES = {bool: "boolean", int: "integer", float: "float", str: "string", list: "array", dict: "table"}


def config_error(
    file: str,
    error: ValidationError,
    data: Mapping[str, Any],
    root: type[BaseModel],
    overrides: Mapping[str, Override],
) -> ConfigError:
    """One ConfigError for all errors in `data`, validated as a `root`; `overrides` are by dotted key."""
    problems: dict[str, None] = {}
    for details in error.errors():
        for key, problem in _problems(details, data, root):
            name = f"{shortened(key)}{source_of(key, overrides)}: "
            problems[f"{name}{problem}" if key else problem] = None
    return error_of(file, list(problems))


def error_of(file: str, lines: list[str]) -> ConfigError:
    """One ConfigError for all problems of a job file."""
    lines = [_without_middle(line) for line in lines]
    if len(lines) == 1:
        return ConfigError(f"{file}: {lines[0]}")
    more = [f"and {len(lines) - _MAX_PROBLEMS} more"] if len(lines) > _MAX_PROBLEMS else []
    return ConfigError("\n  ".join([f"{file}: {len(lines)} problems", *lines[:_MAX_PROBLEMS], *more]))


def _without_middle(problem: str) -> str:
    """A problem without the middle of a value that is far too long: field and remedy are at its ends."""
    half = _MAX_PROBLEM_CHARS // 2
    return problem if len(problem) <= _MAX_PROBLEM_CHARS else f"{problem[:half]} … {problem[-half:]}"


def _problems(details: ErrorDetails, data: Mapping[str, Any], root: type[BaseModel]) -> Iterable[tuple[str, str]]:
    """(dotted key, problem) of one Pydantic error; the key is empty if it is in the problem."""
    loc = details["loc"]
    if not loc:
        return [("", line) for line in str(details["ctx"]["error"]).split("\n")]
    if loc[0] == "heads" and loc[2:] == ("[key]",):
        reason = details["ctx"]["error"]
        return [(f"heads.{loc[1]}", f"the name of a head {reason}; rename the head")]
    if loc[0] == "heads" and len(loc) == 3 and details["type"] == "value_error":
        lines = [line.partition(": ") for line in str(details["ctx"]["error"]).split("\n")]
        return [(f"heads.{loc[1]}.{option}", problem) for option, _, problem in lines]
    # After the field's name, Pydantic adds members of unions and indices of lists.
    keys = [str(part) for part in loc[:2]]
    if loc[0] == "heads" and len(loc) > 2:
        keys = ["heads", str(loc[1]), str(loc[3])]
    dotted = ".".join(keys)
    found = value_at(data, keys)
    if details["type"] == "extra_forbidden":
        return [(dotted, _unknown_key(keys[-1], _known_keys(keys[:-1], data, root)))]
    if keys[0] == "heads" and len(keys) == 2 and isinstance(found, dict):
        return [(f"{dotted}.task", _wrong_task(keys[1], found, data["heads"]))]
    return [(dotted, _wrong_value(keys, details["type"], found, data, root))]


def _unknown_key(key: str, known: list[str]) -> str:
    nearest = get_close_matches(key, known, n=1)
    guess = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"unknown key; {guess}Known keys: {', '.join(known)}"


def _wrong_task(name: str, head: Mapping[str, Any], heads: Mapping[str, Any]) -> str:
    tasks = ", ".join(json.dumps(task) for task in HEAD_SECTIONS)
    if "task" not in head:
        # Overriding a missing head creates it.
        nearest = get_close_matches(name, (other for other in heads if other != name), n=1)
        guess = f", or did you mean heads.{shortened(nearest[0])}?" if nearest else ""
        return f'is missing, expected one of {tasks}; write for example task = "embedding"{guess}'
    found = head["task"]
    nearest = get_close_matches(str(found), HEAD_SECTIONS, n=1)
    remedy = f"did you mean {json.dumps(nearest[0])}?" if nearest else "write one of these"
    return f"found {_shown(found)}, expected one of {tasks}; {remedy}"


def _wrong_value(
    keys: list[str], error_type: str, found: object, data: Mapping[str, Any], root: type[BaseModel]
) -> str:
    if keys[0] == "heads" and len(keys) == 2:
        return f"found {_shown(found)}, expected a table; write [{'.'.join(keys)}] and its keys"
    field = field_at(keys, data, root)
    if len(keys) == 1:
        table = "[heads.NAME]" if keys == ["heads"] else f"[{keys[0]}]"
        state = "is missing" if error_type == "missing" else f"found {_shown(found)}"
        return f"{state}, expected {expected_value(field)}; add {table}"
    expected, example = expected_value(field), f"{keys[-1]} = {json.dumps((field.examples or [''])[0])}"
    if error_type == "missing":
        return f"is missing, expected {expected}; add for example {example} under [{'.'.join(keys[:-1])}]"
    return f"found {_shown(found)}, expected {expected}; write for example {example}"


def expected_value(field: FieldInfo) -> str:
    """What a field takes: the first sentence of its description. The others are for the reference."""
    return (field.description or "").partition(". ")[0]


def _known_keys(keys: list[str], data: Mapping[str, Any], root: type[BaseModel]) -> list[str]:
    section = section_at(keys, data, root)
    assert section is not None, keys
    return list(section.model_fields)


def _shown(value: object) -> str:
    """A value as in TOML, with its type; only the type of a table."""
    name = _TYPE_NAMES.get(type(value), type(value).__name__)
    if isinstance(value, dict):
        return "a table"
    return f"{shortened(json.dumps(value, default=str, ensure_ascii=False))} ({name})"
