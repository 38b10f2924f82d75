"""Read the JSON files of a checkpoint: one object each, of bounded size and nesting, with Unicode text alone."""

import json
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.checkpoints.errors import CheckpointError

# A million labels, and the index of a model a hundred times the size of XXL, take less.
MAX_BYTES = 2**27
# Released files have at most 5 levels. Deeper ones cannot be copied or written, which recurses.
MAX_DEPTH = 50

_MAX_SHOWN_CHARS = 150
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def shown(value: object) -> str:
    """The `repr` of a value of a file for a message, shortened."""
    text = _SHORT.repr(value)
    return f"{text[:_MAX_SHOWN_CHARS]}…" if len(text) > _MAX_SHOWN_CHARS else text


def read_json_object(path: Path, *, has_unique_keys: bool = False) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        has_unique_keys: refuse an object that has a key twice; of such keys, the last one counts otherwise.

    Raises:
        CheckpointError: the file is no JSON object, too large, or nested too deeply, or has text that is not
            Unicode; the message names it.
    """
    num_bytes = path.stat().st_size
    if num_bytes > MAX_BYTES:
        raise CheckpointError(f"{path} has {num_bytes} bytes, expected at most {MAX_BYTES}; download it again")
    try:
        values = json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=_unique if has_unique_keys else None
        )
    except RecursionError as error:
        raise CheckpointError(_nested_too_deeply(path)) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}; download it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} must hold a JSON object, found {type(values).__name__}")
    _refuse_unwritable(path, values)
    return values


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {shown(name)} is there twice")
        values[name] = value
    return values


def _refuse_unwritable(path: Path, values: dict[str, Any]) -> None:
    """Refuse deep nesting and lone surrogates, level by level."""
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for container in level:
            if isinstance(container, dict):
                inner += container
                inner += container.values()
            else:
                inner += container
        for text in inner:
            if isinstance(text, str) and not _is_unicode(text):
                raise CheckpointError(f"{path} holds {shown(text)}, which is not Unicode text; download it again")
        level = [value for value in inner if isinstance(value, dict | list)]
        if not level:
            return
    raise CheckpointError(_nested_too_deeply(path))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nested_too_deeply(path: Path) -> str:
    return f"{path} is nested more than {MAX_DEPTH} levels deep, as no file of a checkpoint is; download it again"
