"""Apply `--set key.path=value` overrides of the command line to a job file."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.config.fields import section_at, value_at
from pipeline.errors import ConfigError

_MAX_SHOWN_CHARS = 200
_QUOTING = 'quote every string in it, and the whole for the shell, as in --set \'input.columns=["id", "lang"]\''


@dataclass(frozen=True)
class Override:
    """One `--set`: the parts of its key, and the text of its value; `source` is the whole argument."""

    source: str
    keys: tuple[str, ...]
    text: str

    @property
    def shown(self) -> str:
        """The argument as messages show it, shortened."""
        return shortened(self.source)

    @property
    def key(self) -> str:
        """The dotted key, as messages name it."""
        return ".".join(self.keys)


def shortened(text: str) -> str:
    """The beginning of a text of any length, for a message."""
    return f"{text[:_MAX_SHOWN_CHARS]}…" if len(text) > _MAX_SHOWN_CHARS else text


def parse_override(source: str) -> Override:
    """Parse `key.path=value`. Raises ConfigError."""
    # A quoted name in the key may contain an equals sign.
    for end in (index for index, character in enumerate(source) if character == "="):
        keys = _key_names(source[:end])
        if keys:
            return Override(source, tuple(keys), source[end + 1 :].strip())
    raise ConfigError(
        f'--set {shortened(source)}: expected key.path=value; write for example --set output.path="annotated", '
        "and quote a name that is no plain word, as in --set 'heads.\"näme\".task=embedding'"
    )


def apply_overrides(data: dict[str, Any], overrides: Sequence[Override], root: type[BaseModel]) -> None:
    """Set the values of all overrides in `data`, in place and in order; missing tables are created.

    A value is parsed as TOML, but stays a string if only that fits its field of `root`, as in output.path=2026.
    Raises ConfigError if a value begins like a string, array or table and is invalid, or a key leads below a
    value.
    """
    values = [_toml_value(override) for override in overrides]
    for override, value in zip(overrides, values, strict=True):
        _table_of(data, override)[override.keys[-1]] = value
    # In a second pass, as the fields of a head depend on its task, which may be set last.
    for override, value in zip(overrides, values, strict=True):
        name, section = override.keys[-1], section_at(override.keys[:-1], data, root)
        is_replaced = value_at(data, override.keys) is not value
        if section is None or is_replaced or not isinstance(value, bool | int | float | date | time):
            continue
        if not _takes(section, name, value) and _takes(section, name, override.text):
            _table_of(data, override)[name] = override.text


def _table_of(data: dict[str, Any], override: Override) -> dict[str, Any]:
    table = data
    for depth, name in enumerate(override.keys[:-1], start=1):
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(
                f"--set {override.shown}: {'.'.join(override.keys[:depth])} is a value, expected a table; set it "
                "as a whole"
            )
    return table


def _toml_value(override: Override) -> object:
    """The text parsed as a TOML value, or the text itself."""
    try:
        parsed = tomllib.loads(f"value = {override.text}")
    except RecursionError:
        raise ConfigError(
            f"--set {override.key}: found a value that is nested too deeply, expected a TOML value"
        ) from None
    except ValueError as error:
        if override.text.startswith(("[", "{", '"', "'")):
            reason = str(error).partition(" (at ")[0]
            is_quoted = '"' in override.text or "'" in override.text
            string = (
                ""
                if is_quoted
                else f"; for the string itself write --set '{override.key}=\"{shortened(override.text)}\"'"
            )
            raise ConfigError(
                f"--set {override.shown}: expected a TOML string, array or table, as the value begins like one, "
                f"found none: {reason}{string}; {_QUOTING}"
            ) from None
        return override.text
    # A text with line breaks could have other keys too.
    return parsed["value"] if len(parsed) == 1 else override.text


def _takes(section: type[BaseModel], name: str, value: object) -> bool:
    """Whether a value is valid for a field of a section, regardless of other fields."""
    try:
        section.model_validate({name: value})
    except ValidationError as error:
        return all(details["loc"][:1] != (name,) for details in error.errors())
    return True


def _key_names(key: str) -> list[str]:
    """The parts of a dotted TOML key; empty if it is invalid."""
    try:
        table: Any = tomllib.loads(f"{key} = 0")
    # Of TOML, of integers with too many digits, and of arrays in arrays.
    except (ValueError, RecursionError):
        return []
    names = []
    while isinstance(table, dict):
        if len(table) != 1:
            return []
        [(name, table)] = table.items()
        names.append(name)
    return names


def source_of(key: str, overrides: Mapping[str, Override]) -> str:
    """` (from --set …)` if an override sets the value at a dotted key, or a table that contains it."""
    names = key.split(".")
    for size in range(len(names), 0, -1):
        override = overrides.get(".".join(names[:size]))
        if override is not None:
            return f" (from --set {override.shown})"
    return ""
