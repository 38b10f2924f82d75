"""How values of heads are shown in a table of rows, and which labels they name."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NOTHING = "–"
_MAX_ITEMS = 20
_NUM_SHOWN = 3


def cell(value: Any, task: str = "") -> str:
    """A value of a column in one line; `task` is that of a head."""
    match value:
        case None:
            return NOTHING
        case float():
            return f"{value:.4g}"
        case bytes():
            return cell(value.decode(errors="replace"))
        case dict():
            return _struct_cell(value, task)
        case [first, *_] if isinstance(first, int | float):
            return f"{len(value)} numbers: {', '.join(map(cell, value[:_NUM_SHOWN]))}, …"
        case list():
            return " ".join(_item_cell(item, task) for item in value[:_MAX_ITEMS]) or NOTHING
    return " ".join(str(value).split())


def _struct_cell(value: dict[str, Any], task: str) -> str:
    if task == "zero-shot-classification" and value["labels"]:
        return f"{value['labels'][0]} {value['scores'][0]:.2f}"
    if task == "multiple-choice":
        return f"{value['choice']} {value['scores'][value['choice']]:.2f}"
    for name in ("label", "answer"):
        if name in value:
            return f"{value[name] or NOTHING} {value['score']:.2f}"
    for name in ("labels", "loss", "value", "text"):
        if name in value:
            shown = cell(value[name]) if name != "labels" else ", ".join(value[name]) or NOTHING
            return f"{shown} (perplexity {cell(value['perplexity'])})" if "perplexity" in value else shown
    return " ".join(f"{name}={cell(item)}" for name, item in value.items())


def _item_cell(item: Any, task: str) -> str:
    if isinstance(item, dict) and "entity" in item:
        return f"{item['text']}/{item['entity']}"
    if isinstance(item, dict) and "label" in item:
        return str(item["label"])
    if task == "fill-mask":
        return " or ".join(guess["token"] for guess in item[:_NUM_SHOWN])
    return cell(item, task)


def named_labels(column: pa.ChunkedArray, task: str) -> pa.ChunkedArray | None:
    """Every label that a head's column names, one value for each time; None for tasks without labels.

    Of zero-shot classification the best label, of multiple choice the number of the choice.
    """
    column = column.drop_null()
    match task:
        case "text-classification" if column.type.get_field_index("label") >= 0:
            return pc.struct_field(column, "label")
        case "text-classification" if column.type.get_field_index("labels") >= 0:
            return pc.list_flatten(pc.struct_field(column, "labels"))
        case "token-classification":
            items = pc.list_flatten(column)
            return pc.struct_field(items, "label" if items.type.get_field_index("label") >= 0 else "entity")
        case "multiple-choice":
            return pc.struct_field(column, "choice")
        case "zero-shot-classification":
            labels = pc.struct_field(column, "labels")
            return pc.list_element(labels.filter(pc.greater(pc.list_value_length(labels), 0)), 0)
    return None


def counted(values: Sequence[Any] | pa.ChunkedArray, max_shown: int) -> list[tuple[str, int]]:
    """The most frequent values with their counts, and how many others there are."""
    counts = pc.value_counts(values).to_pylist()
    ordered = sorted(((str(c["values"]), c["counts"]) for c in counts), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(count for _, count in ordered[max_shown:])
    return ordered[:max_shown] + ([(f"{len(ordered) - max_shown} others", rest)] if rest else [])
