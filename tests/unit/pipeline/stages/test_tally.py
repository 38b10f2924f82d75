"""What is counted of a part: errors by kind, labels of each task that has some, and windows."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from pipeline.stages.tally import tally_rows
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS

ERRORS = [None, "column 'text' is null, expected text", None, "column 'text' is empty, expected text"]
ENTITIES = [[{"entity": "PER"}, {"entity": "LOC"}], [], None, [{"entity": "PER"}]]
WORDS = [[{"label": "NOUN"}, {"label": None}], [], None, [{"label": "NOUN"}]]
COLUMNS: list[tuple[str, dict[str, Any], list[Any], dict[str, int] | None]] = [
    ("text-classification", {}, [{"label": "a"}, None, {"label": "b"}, {"label": "a"}], {"a": 2, "b": 1}),
    (
        "text-classification",
        {},
        [{"labels": ["a", "b"]}, {"labels": []}, None, {"labels": ["b"]}],
        {"a": 1, "b": 2},
    ),
    ("text-classification", {}, [{"value": 0.5}] * 4, None),
    ("token-classification", {}, ENTITIES, {"PER": 2, "LOC": 1}),
    ("token-classification", {"words": "words"}, WORDS, {"NOUN": 2}),
    (
        "multiple-choice",
        {"prompt": "p", "choices": "c"},
        [{"choice": 1}, None, {"choice": 1}, {"choice": 0}],
        {"1": 2, "0": 1},
    ),
    (
        "zero-shot-classification",
        {"labels": ["x", "y"]},
        [{"labels": ["x", "y"]}, None, {"labels": ["y", "x"]}, {"labels": ["x", "y"]}],
        {"x": 2, "y": 1},
    ),
    ("zero-shot-classification", {"labels_column": "l"}, [{"labels": ["secret"]}] * 4, None),
    ("embedding", {}, [[1.0]] * 4, None),
]


@pytest.mark.parametrize(("task", "options", "values", "expected"), COLUMNS)
def test_labels_are_counted(
    task: str, options: dict[str, Any], values: list[Any], expected: dict[str, int] | None
) -> None:
    section = HEAD_SECTIONS[task].model_validate({"task": task, "weights": "w", **options})
    head: Any = SimpleNamespace(name="head", options=section, task=TASKS[task])
    rows = pa.table({"num_windows": [1, 0, 2, 0], "error": ERRORS, "head": values})
    for table in (rows, pa.concat_tables([rows[:1], rows[1:]])):
        found = tally_rows(table, [head])
        assert found.labels == ({} if expected is None else {"head": expected})
        assert (found.num_windows, found.errors) == (3, {"no_text": 2})
        assert found.results == {"head": len(values) - values.count(None)}
    assert tally_rows(rows[:0], [head]).errors == {}
