"""Labels and scores in the column of a head, by its Arrow type and by what the schema's metadata says of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

HEADS_KEY = b"xlmr_ray.heads"
ONE_LABEL, LABELS, BEST_LABEL = "one label", "several labels", "best label"


@dataclass(frozen=True)
class HeadColumn:
    """A head's column.

    Attributes:
        task: None in an output of format 1, which does not say.
        labels: how its labels are found, or None where it has none that may be shown.
        score: the path of what rows can be filtered by, or None.
    """

    name: str
    task: str | None
    labels: str | None
    score: tuple[str, ...] | None

    def labels_in(self, column: pa.Array) -> pa.DictionaryArray | pa.Array:
        """The labels of the rows; several of a row one after the other."""
        if pa.types.is_list(column.type):
            column = pc.list_flatten(column)
        fields = column.type.names
        if "labels" in fields:
            lists = pc.struct_field(column, "labels")
            return pc.list_element(lists, 0) if self.labels == BEST_LABEL else pc.list_flatten(lists)
        return pc.struct_field(column, next(name for name in ("label", "entity") if name in fields))

    def row_of_labels(self, column: pa.Array) -> pa.Array:
        """For each of `labels_in`, the row that it is of, int64."""
        if pa.types.is_list(column.type):
            return pc.list_parent_indices(column)
        if "labels" in column.type.names and self.labels != BEST_LABEL:
            return pc.list_parent_indices(pc.struct_field(column, "labels"))
        return pa.array(range(len(column)), pa.int64())

    def scores_in(self, column: pa.Array) -> pa.Array:
        """What rows can be filtered by, float64, without nulls; several of a row one after the other."""
        if pa.types.is_list(column.type):
            column = pc.list_flatten(column)
        assert self.score is not None
        values = pc.struct_field(column, list(self.score))
        if pa.types.is_list(values.type):
            # The best one of each row.
            rows = pa.table({"row": pc.list_parent_indices(values), "score": pc.list_flatten(values)})
            values = rows.group_by("row").aggregate([("score", "max")])["score_max"].combine_chunks()
        return values.cast(pa.float64()).drop_null()


def head_columns(schema: pa.Schema, reserved_end: int) -> list[HeadColumn]:
    """The columns of heads: those after the columns that every row has."""
    told = _told(schema)
    return [
        _head_column(schema.field(index), told.get(schema.field(index).name))
        for index in range(reserved_end, len(schema))
    ]


def _told(schema: pa.Schema) -> Mapping[str, Mapping[str, object]]:
    found: Mapping[str, Mapping[str, object]] = json.loads((schema.metadata or {}).get(HEADS_KEY, b"{}"))
    return found


def _head_column(field: pa.Field, told: Mapping[str, object] | None) -> HeadColumn:
    type_ = field.type.value_type if pa.types.is_list(field.type) else field.type
    names = type_.names if pa.types.is_struct(type_) else []
    labels = ONE_LABEL if "label" in names or "entity" in names else None
    task = None if told is None else str(told["task"])
    # The labels of zero-shot classification may be text of the rows.
    if "labels" in names and told is not None and told["labels"]:
        labels = BEST_LABEL if task == "zero-shot-classification" else LABELS
    score = next((name for name in ("score", "loss", "value", "scores") if name in names), None)
    return HeadColumn(field.name, task, labels, None if score is None else (score,))
