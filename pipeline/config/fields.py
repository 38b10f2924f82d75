"""Find the section and field that a dotted key of the job file refers to."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.tasks.all_tasks import HEAD_SECTIONS


def section_at(keys: Sequence[str], data: Mapping[str, Any], root: type[BaseModel]) -> type[BaseModel] | None:
    """The class of the table at `keys` of a job file with content `data`, or None if there is none.

    This is `root`, a section, or the options of a head with a known task.
    """
    if not keys:
        return root
    if keys[0] == "heads":
        head = value_at(data, keys) if len(keys) == 2 else None
        task = head.get("task") if isinstance(head, dict) else None
        return HEAD_SECTIONS.get(task) if isinstance(task, str) else None
    if len(keys) > 1 or keys[0] not in root.model_fields:
        return None
    annotation = root.model_fields[keys[0]].annotation
    assert isinstance(annotation, type), get_args(annotation)
    assert issubclass(annotation, BaseModel)
    return annotation


def field_at(keys: Sequence[str], data: Mapping[str, Any], root: type[BaseModel]) -> FieldInfo:
    """The field of a known key."""
    section = section_at(keys[:-1], data, root)
    assert section is not None, keys
    return section.model_fields[keys[-1]]


def value_at(data: Any, keys: Sequence[str]) -> object:
    """The value at `keys` of a job file, or None."""
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data
