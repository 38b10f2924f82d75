"""How a value of each task's column is shown, and which labels it names."""

from typing import Any

import pyarrow as pa
import pytest

from jobs.annotate.preview_cells import cell, counted, named_labels

CLASSES = [{"label": "b", "score": 0.9, "logits": [1.0]}, None, {"label": "a", "score": 0.5, "logits": [1.0]}]
MULTI = [{"labels": ["x", "y"], "scores": [0.9, 0.8, 0.1]}, {"labels": [], "scores": [0.1, 0.1, 0.1]}]
ZERO_SHOT = [{"labels": ["x", "y"], "scores": [0.9, 0.1]}, {"labels": ["y", "x"], "scores": [0.7, 0.3]}]
ENTITIES = [[{"entity": "LOC", "text": "Rome", "start": 0, "end": 4, "score": 0.9}], []]
WORDS = [[{"label": "DET", "score": 0.9}, {"label": "NOUN", "score": 0.9}]]


@pytest.mark.parametrize(
    ("task", "value", "expected"),
    [
        ("text-classification", None, "–"),
        ("text-classification", CLASSES[0], "b 0.90"),
        ("text-classification", MULTI[0], "x, y"),
        ("text-classification", MULTI[1], "–"),
        ("text-classification", {"value": 1.23456}, "1.235"),
        ("token-classification", ENTITIES[0], "Rome/LOC"),
        ("token-classification", ENTITIES[1], "–"),
        ("token-classification", WORDS[0], "DET NOUN"),
        ("question-answering", {"answer": "in Rome", "score": 0.25, "null_score": 0.1}, "in Rome 0.25"),
        ("question-answering", {"answer": "", "score": 0.25, "null_score": 0.1}, "– 0.25"),
        ("multiple-choice", {"choice": 1, "scores": [0.2, 0.8]}, "1 0.80"),
        ("embedding", [0.5, -0.25, 1.0, 2.0], "4 numbers: 0.5, -0.25, 1, …"),
        ("embedding", [[0.5, 1.0], [2.0, 3.0]], "2 numbers: 0.5, 1, … 2 numbers: 2, 3, …"),
        ("fill-mask", [[{"token": t, "token_id": 1, "score": 0.5} for t in "abcd"]], "a or b or c"),
        ("masked-lm-loss", {"loss": 2.345678, "nll": 9.0, "num_tokens": 4}, "2.346"),
        (
            "causal-lm-loss",
            {"loss": 1.0, "nll": 9.0, "num_tokens": 4, "perplexity": 2.718},
            "1 (perplexity 2.718)",
        ),
        ("text-generation", {"text": "a\n b", "num_tokens": 4}, "a b"),
        ("zero-shot-classification", ZERO_SHOT[0], "x 0.90"),
        ("a-new-task", {"mean": 0.5, "n": 3}, "mean=0.5 n=3"),
        ("", "a\ttext\nof\r\nlines", "a text of lines"),
        ("", b"bytes \xff", "bytes \ufffd"),
        ("", ["in", "words"], "in words"),
    ],
)
def test_cells(task: str, value: Any, expected: str) -> None:
    assert cell(value, task) == expected


@pytest.mark.parametrize(
    ("task", "values", "expected"),
    [
        ("text-classification", CLASSES, ["b", "a"]),
        ("text-classification", MULTI, ["x", "y"]),
        ("token-classification", ENTITIES, ["LOC"]),
        ("token-classification", WORDS, ["DET", "NOUN"]),
        ("multiple-choice", [{"choice": 1, "scores": [0.2, 0.8]}, None], [1]),
        ("zero-shot-classification", [*ZERO_SHOT, {"labels": [], "scores": []}], ["x", "y"]),
    ],
)
def test_labels(task: str, values: list[Any], expected: list[Any]) -> None:
    found = named_labels(pa.chunked_array([values]), task)
    assert found is not None
    assert found.to_pylist() == expected


@pytest.mark.parametrize(("task", "value"), [("text-classification", {"value": 0.5}), ("embedding", [0.5])])
def test_other_tasks_have_no_labels(task: str, value: Any) -> None:
    assert named_labels(pa.chunked_array([[value]]), task) is None


def test_the_most_frequent_come_first() -> None:
    values = pa.chunked_array([["c", "a", "b", "b"], ["b", "a", "d"]])
    assert counted(values, 2) == [("b", 3), ("a", 2), ("2 others", 2)]
    assert counted(values, 9) == [("b", 3), ("a", 2), ("c", 1), ("d", 1)]
