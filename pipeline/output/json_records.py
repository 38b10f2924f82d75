"""Small JSON files of an output, read against the types of a dataclass: what does not fit counts as damaged."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

T = TypeVar("T")

Count = Annotated[int, Field(ge=0, le=2**50)]
"""A number of rows, bytes and the like, of which millions can be added up in 64 bits."""


def parse_record(kind: Callable[..., T], data: bytes | None) -> T | None:
    """The record that a file holds; None where there is no file, or it holds none of this kind."""
    try:
        record: T = _adapter(kind).validate_json(data or b"", strict=True)
        return record
    except ValidationError:
        return None


def record_json(record: Any) -> bytes:
    """The content of the file of a record, a dataclass. Fields that are None are left out."""
    return encode_json({name: value for name, value in asdict(record).items() if value is not None})


def encode_json(values: Mapping[str, Any]) -> bytes:
    """The content of a JSON file; deterministic."""
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Set on the class, as a dataclass of the standard library takes no configuration from its adapter.
    kind.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(kind)
