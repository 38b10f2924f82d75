"""Encode the small records of an output as JSON, and decode them as dataclasses."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

Record = TypeVar("Record")


def encode_json(values: Mapping[str, Any]) -> bytes:
    """The content of a record file; deterministic."""
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


def decode_record(kind: type[Record], data: bytes | None) -> Record | None:
    """The record in a file; None if the file is missing or damaged."""
    try:
        return kind(**json.loads(data or b""))
    except (ValueError, TypeError):
        return None
