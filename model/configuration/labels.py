"""The labels and pruned heads of `config.json`: maps whose keys are integers, which JSON writes as strings."""

from collections.abc import Mapping
from typing import Any

from model.checkpoints.json_files import shown
from model.configuration.schema import MAX_NUM_LABELS, is_integer


def as_id2label(names: Any) -> dict[int, Any]:
    """The labels by integer id. Labels are strings, or numbers, which are kept as they are.

    Raises ValueError: no map, too many labels, or an id or label of another type.
    """
    _require_map("id2label", names)
    if len(names) > MAX_NUM_LABELS:
        raise ValueError(f"config.id2label must have at most {MAX_NUM_LABELS} labels, found {len(names)}")
    for label in names.values():
        if not isinstance(label, str | int | float):
            raise ValueError(f"config.id2label must map ids to labels, found the label {shown(label)}")
    return {_as_integer("id2label", i): label for i, label in names.items()}


def as_label2id(ids: Any) -> dict[Any, int]:
    """The integer ids by label. Raises ValueError: no map, or an id that is no integer."""
    if ids is None:
        return {}
    _require_map("label2id", ids)
    return {label: _as_integer("label2id", i) for label, i in ids.items()}


def as_num_labels(num_labels: Any) -> int:
    """The number of labels. Raises ValueError: negative, more than any classifier has, or no integer."""
    if not is_integer(num_labels) or not 0 <= num_labels <= MAX_NUM_LABELS:
        raise ValueError(
            f"config.num_labels must be an integer from 0 to {MAX_NUM_LABELS}, found {shown(num_labels)}"
        )
    return int(num_labels)


def as_pruned_heads(pruned_heads: Any) -> dict[int, list[int]]:
    """The pruned heads by integer layer. Raises ValueError: no map of layers to lists of integers."""
    if pruned_heads is None:
        return {}
    _require_map("pruned_heads", pruned_heads)
    for heads in pruned_heads.values():
        if not isinstance(heads, list | tuple | set) or not all(map(is_integer, heads)):
            raise ValueError(f"config.pruned_heads must map layers to lists of heads, found {shown(heads)}")
    return {_as_integer("pruned_heads", layer): list(heads) for layer, heads in pruned_heads.items()}


def _require_map(field: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"config.{field} must be a map (a JSON object), found {shown(value)}")


def _as_integer(field: str, value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    if not is_integer(value):
        raise ValueError(f"config.{field} must have integers for ids, found {shown(value)}")
    return int(value)
