"""Gold columns become names of labels, answers and numbers of choices."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from jobs.evaluate.data.prepare import (
    answers,
    by_key,
    choice_numbers,
    examples,
    keys_of,
    label_names,
    lists_of,
    word_labels,
)
from jobs.evaluate.data.reading import Rows
from jobs.evaluate.examples import SCHEMAS
from pipeline.errors import InputError

LABELS = ("entailment", "neutral", "contradiction")
ALIASES = {"contradictory": "contradiction"}
CLASSES, TEXTS = pa.list_(pa.int64()), pa.list_(pa.string())


def rows_of(names: Sequence[str] = (), **columns: pa.Array) -> Rows:
    return Rows(
        {role: pa.chunked_array([column]) for role, column in columns.items()},
        {"gold": tuple(names)} if names else {},
        {role: f"--data: column '{role}'" for role in columns},
        "test.parquet",
        len(next(iter(columns.values()))),
    )


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        ([0, 2, None, -1], (), ["entailment", "contradiction", None, None]),
        ([0, 2], ("contradiction", "neutral", "entailment"), ["contradiction", "entailment"]),
        ([2, -1], ("ENTAILMENT", "Neutral", "contradictory"), ["contradiction", None]),
        (["Entailment", "contradictory", None], (), ["entailment", "contradiction", None]),
    ],
)
def test_labels_by_name(values: list[Any], names: tuple[str, ...], expected: list[str | None]) -> None:
    assert label_names(rows_of(names, gold=pa.array(values)), "gold", LABELS, ALIASES).to_pylist() == expected


@pytest.mark.parametrize("values", [[0, 3], [0, -2], ["entailment", "secret text"]])
def test_unknown_labels_are_refused_by_row_alone(values: list[Any]) -> None:
    with pytest.raises(InputError) as error:
        label_names(rows_of(gold=pa.array(values)), "gold", LABELS, ALIASES)
    message = str(error.value)
    assert message.startswith("--data: column 'gold' of test.parquet: row 1 (from 0) has a label that is none of")
    assert "expected one of entailment, neutral, contradiction; name the files" in message
    assert "secret" not in message


def test_class_names_of_another_task_are_refused() -> None:
    rows = rows_of(("not_equivalent", "equivalent"), gold=pa.array([0]))
    with pytest.raises(InputError, match=r"found the class names not_equivalent, equivalent, expected entailment"):
        label_names(rows, "gold", LABELS, ALIASES)


def test_class_ids_without_names_are_refused_where_the_order_is_not_known() -> None:
    with pytest.raises(InputError, match=r"found class ids without names, expected names.*; export"):
        label_names(rows_of(gold=pa.array([0])), "gold", LABELS, {}, has_known_order=False)


def test_without_known_labels_values_are_names() -> None:
    assert label_names(rows_of(gold=pa.array([7, -1])), "gold", (), {}).to_pylist() == ["7", None]
    assert label_names(rows_of(gold=pa.array(["A", "a"])), "gold", (), {}).to_pylist() == ["A", "a"]
    named = rows_of(("no", "yes"), gold=pa.array([1]))
    assert label_names(named, "gold", (), {}).to_pylist() == ["yes"]


def test_labels_of_words() -> None:
    lists = pa.array([[9, 9], [0, 1], None, [-1, -1], []], CLASSES).slice(1)
    words = pa.array([["a", "b"], ["a"], ["a", "b"], []], TEXTS)
    found = word_labels(rows_of(gold=lists, words=words), "gold", "words", ("O", "B-PER"), {})
    assert found.to_pylist() == [["O", "B-PER"], None, None, []]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[0], [0, -1]], "row 1 .from 0. labels only some words, expected a label for each word"),
        ([[0], [0]], "row 1 .from 0. has another number of labels than of words, expected one for each word"),
        ([[0], [0, 2]], "row 1 .from 0. has a label that is none of those known, expected one of O, B-PER"),
    ],
)
def test_labels_that_do_not_fit_words_are_refused(lists: list[list[int]], message: str) -> None:
    rows = rows_of(gold=pa.array(lists, CLASSES), words=pa.array([["a"], ["a", "b"]], TEXTS))
    with pytest.raises(InputError, match=message):
        word_labels(rows, "gold", "words", ("O", "B-PER"), {})


def test_answers() -> None:
    lists = pa.array([["a"], [], None], TEXTS)
    assert answers(rows_of(gold=lists), "gold", may_be_none=True).to_pylist() == [["a"], [], None]
    with pytest.raises(InputError, match=r"row 1 .from 0. has no answer, expected one or more"):
        answers(rows_of(gold=lists), "gold", may_be_none=False)
    with pytest.raises(InputError, match=r"row 1 .from 0. has an answer that is null, expected text"):
        answers(rows_of(gold=pa.array([["a"], [None]], TEXTS)), "gold", may_be_none=True)


def test_choices() -> None:
    assert choice_numbers(rows_of(gold=pa.array([0, 1, -1, None])), "gold", 2).to_pylist() == [0, 1, None, None]
    for wrong in (2, -2):
        with pytest.raises(InputError, match=r"row 1 .from 0. names no choice, expected its number"):
            choice_numbers(rows_of(gold=pa.array([0, wrong])), "gold", 2)
    assert lists_of([pa.array(["a", None]), pa.array(["c", "d"])]).to_pylist() == [["a", "c"], [None, "d"]]


def test_examples_have_the_columns_of_their_kind_and_keep_their_numbers_in_subsets() -> None:
    table = examples("classification", 3, {"text": pa.array(["a", None, "c"]), "gold": pa.array(["x", "y", None])})
    assert table.schema == SCHEMAS["classification"]
    assert table["text_pair"].null_count == 3
    by_language = by_key(table, keys_of(rows_of(by=pa.array(["de", "fr", "de"])), "by"))
    assert {key: part["row"].to_pylist() for key, part in by_language.items()} == {"de": [0, 2], "fr": [1]}
    with pytest.raises(InputError, match=r"row 1 .from 0. is null, expected a value in each row"):
        keys_of(rows_of(by=pa.array(["de", None])), "by")
