"""What heads read: their specs, the items of rows, and what becomes of rows that cannot be read."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.encoding.items import candidate_labels, decoding_context, read_items
from pipeline.encoding.row_texts import FragmentTexts
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS
from pipeline.tasks.contract import SequenceSpec

MAX_NUM_TOKENS = 512
CUTTING = {"window": 512, "stride": 128, "truncate": False}


def spec(task: str, /, **options: Any) -> SequenceSpec:
    texts = {"text": "text"} if "text" in HEAD_SECTIONS[task].model_fields and "words" not in options else {}
    section: Any = HEAD_SECTIONS[task].model_validate({"task": task, **texts, **options})
    return TASKS[task].sequence_spec(section, MAX_NUM_TOKENS)


@pytest.mark.parametrize(
    ("found", "layout", "columns"),
    [
        (spec("text-classification"), "text", ("text",)),
        (spec("text-classification", text_pair="b", text="a"), "pair", ("a", "b")),
        (spec("token-classification"), "text", ("text",)),
        (spec("token-classification", words="tokens"), "words", ("tokens",)),
        (spec("question-answering"), "question", ("context", "question")),
        (spec("multiple-choice", prompt="p"), "choices", ("p", "choices")),
        (spec("multiple-choice", prompt="p", choices=["a", "b"]), "choices", ("p", "a", "b")),
        (spec("embedding"), "text", ("text",)),
        (spec("fill-mask"), "text", ("text",)),
        (spec("masked-lm-loss"), "text", ("text",)),
        (spec("causal-lm-loss"), "text", ("text",)),
        (spec("text-generation"), "prompt", ("text",)),
        (spec("zero-shot-classification", labels=["x"]), "hypotheses", ("text",)),
        (spec("zero-shot-classification", labels_column="l"), "hypotheses", ("text", "l")),
    ],
)
def test_what_each_task_reads(found: SequenceSpec, layout: str, columns: tuple[str, ...]) -> None:
    """The body, from which windows are cut, comes first."""
    assert (found.layout, found.columns) == (layout, columns)


def test_heads_that_read_alike_have_equal_sources() -> None:
    """Their rows are tokenized, and pass a trunk, once."""
    plain = spec("text-classification")
    assert plain == SequenceSpec("text", ("text",), **CUTTING)
    assert plain == spec("embedding") == spec("token-classification") == spec("masked-lm-loss")
    for other in (
        spec("fill-mask"),  # in which <mask> is a token
        spec("embedding", text="title"),
        spec("embedding", window=256),
        spec("embedding", stride=64),
        spec("embedding", truncate=True),
        spec("text-classification", text_pair="title"),
    ):
        assert other != plain
    labels = {"labels": ["x", "y"]}
    zero_shot = spec("zero-shot-classification", **labels)
    assert zero_shot == spec("zero-shot-classification", multi_label=True, **labels)
    assert zero_shot != spec("zero-shot-classification", hypothesis_template="Is it {}?", **labels)


def test_a_prompt_leaves_room_for_what_is_generated() -> None:
    assert spec("text-generation", max_new_tokens=100).window == MAX_NUM_TOKENS - 100
    assert spec("text-generation", max_new_tokens=510).window == 2
    with pytest.raises(ValueError, match=r"^max_new_tokens: found 511, expected at most 510"):
        spec("text-generation", max_new_tokens=511)


def test_a_window_that_the_trunk_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^window: found 513, expected at most 512"):
        spec("embedding", window=513)


BYTES = pa.array([b"fine", b"\xff\xfe", None, b" "], pa.binary())


@pytest.mark.parametrize(
    ("options", "columns", "texts", "companions", "rows"),
    [
        pytest.param(
            ("embedding", {}),
            {"text": ["a", "b"]},
            ["a", "b"], [], [(0, 0), (1, 0)],
            id="text",
        ),
        pytest.param(
            ("text-classification", {"text_pair": "hypothesis"}),
            {"text": ["a", "b"], "hypothesis": ["x", "y"]},
            ["a", "b"], ["x", "y"], [(0, 0), (1, 0)],
            id="pair",
        ),
        pytest.param(
            ("question-answering", {"context": "row.passage"}),
            {"row": [{"passage": "a"}, {"passage": "b"}], "question": ["x", "y"]},
            ["a", "b"], ["x", "y"], [(0, 0), (1, 0)],
            id="question, nested",
        ),
        pytest.param(
            ("multiple-choice", {}),
            {"prompt": ["a", "b"], "choices": [["x", "y", "z"], ["w"]]},
            ["a", "a", "a", "b"], ["x", "y", "z", "w"], [(0, 0), (0, 1), (0, 2), (1, 0)],
            id="choices in a list",
        ),
        pytest.param(
            ("multiple-choice", {"choices": ["one", "two"]}),
            {"prompt": ["a", "b"], "two": ["y", "z"], "one": ["x", "w"]},
            ["a", "a", "b", "b"], ["x", "y", "w", "z"], [(0, 0), (0, 1), (1, 0), (1, 1)],
            id="choices in columns",
        ),
        pytest.param(
            ("zero-shot-classification", {"labels": ["u", "v"], "hypothesis_template": "{}!"}),
            {"text": ["a", "b"]},
            ["a", "a", "b", "b"], ["u!", "v!", "u!", "v!"], [(0, 0), (0, 1), (1, 0), (1, 1)],
            id="labels of the configuration",
        ),
        pytest.param(
            ("zero-shot-classification", {"labels_column": "labels", "hypothesis_template": "{{}}"}),
            {"text": ["a", "b"], "labels": [["u"], ["v", "w"]]},
            ["a", "b", "b"], ["{u}", "{v}", "{w}"], [(0, 0), (1, 0), (1, 1)],
            id="labels in a column",
        ),
    ],
)  # fmt: skip
def test_items_of_good_rows(
    options: tuple[str, dict[str, Any]],
    columns: dict[str, Any],
    texts: list[str],
    companions: list[str],
    rows: list[tuple[int, int]],
) -> None:
    task, values = options
    items = read_items(FragmentTexts(pa.table(columns)), spec(task, **values), np.ones(2, dtype=bool))
    assert (items.texts, items.companions, items.words) == (texts, companions, [])
    assert list(zip(items.row, items.number, strict=True)) == rows
    assert items.problems == {}


def test_words_may_be_blank_but_not_missing() -> None:
    tokens = pa.array([["a", " ", ""], None, [], ["a", None]], pa.list_(pa.string()))
    items = read_items(
        FragmentTexts(pa.table({"t": tokens})), spec("token-classification", words="t"), np.ones(4, dtype=bool)
    )
    assert (items.words, items.texts, items.row) == ([["a", " ", ""]], [], [0])
    assert items.problems == {
        1: "column 't' is null, expected a list of texts",
        2: "column 't' is an empty list, expected a list of texts",
        3: "column 't' is null at index 1, expected a list of texts",
    }


def test_a_row_that_cannot_be_read_is_a_problem_and_has_no_items() -> None:
    """Each column that is wrong is named; bytes are text where they are UTF-8."""
    table = pa.table({"text": BYTES, "pair": ["x", "", None, "y"]})
    items = read_items(FragmentTexts(table), spec("text-classification", text_pair="pair"), np.ones(4, dtype=bool))
    assert (items.texts, items.companions, items.row) == (["fine"], ["x"], [0])
    assert items.problems == {
        1: "column 'text' is not UTF-8 (byte 0), expected text; column 'pair' is empty, expected text",
        2: "column 'text' is null, expected text; column 'pair' is null, expected text",
        3: "column 'text' is blank, expected text",
    }


def test_what_is_wrong_with_both_texts_alike_is_said_once() -> None:
    items = read_items(
        FragmentTexts(pa.table({"text": [None, "a"]}, pa.schema({"text": pa.string()}))),
        spec("text-classification", text_pair="text"),
        np.ones(2, dtype=bool),
    )
    assert items.problems == {0: "column 'text' is null, expected text"}
    assert items.companions == ["a"]


def test_rows_that_nobody_wants_are_neither_read_nor_judged() -> None:
    items = read_items(
        FragmentTexts(pa.table({"text": BYTES})), spec("embedding"), np.array([False, False, True, False])
    )
    assert (items.texts, items.row) == ([], [])
    assert list(items.problems) == [2]


def test_a_choice_that_is_missing_is_a_problem_of_its_row() -> None:
    table = pa.table({"prompt": ["a", "b", "c"], "one": ["x", None, "y"], "two": ["z", "w", " "]})
    items = read_items(
        FragmentTexts(table), spec("multiple-choice", choices=["one", "two"]), np.ones(3, dtype=bool)
    )
    assert (items.row, items.companions) == ([0, 0], ["x", "z"])
    assert items.problems == {
        1: "column 'one' is null, expected text",
        2: "column 'two' is blank, expected text",
    }


def test_a_nested_column_of_another_type_is_a_problem_of_every_row() -> None:
    table = pa.table({"text": ["a", "b"], "labels": [[1], [2]]})
    items = read_items(
        FragmentTexts(table), spec("zero-shot-classification", labels_column="labels"), np.ones(2, dtype=bool)
    )
    assert items.row == []
    assert set(items.problems.values()) == {"column 'labels' has type list<item: int64>, expected list<string>"}


def test_candidates() -> None:
    table = pa.table({"text": ["a", "b"], "labels": [["u", "v"], None]})
    fixed = spec("zero-shot-classification", labels=["x", "y"])
    assert candidate_labels(FragmentTexts(table), fixed) == [["x", "y"]] * 2
    found = candidate_labels(FragmentTexts(table), spec("zero-shot-classification", labels_column="labels"))
    assert [found[0], str(found[1])] == [["u", "v"], "column 'labels' is null, expected a list of texts"]


@pytest.mark.parametrize(
    ("found", "with_offsets", "expected"),
    [
        (spec("token-classification"), True, ["a", None]),
        (spec("embedding"), False, [None, None]),
        (spec("question-answering", context="text", question="text"), True, ["a", None]),
        (spec("token-classification", words="words"), True, [3, None]),
        (spec("zero-shot-classification", labels=["x", "y"]), False, [["x", "y"]] * 2),
        (spec("zero-shot-classification", labels_column="words"), False, [None, None]),
    ],
)
def test_what_decoding_needs_of_the_rows(found: SequenceSpec, with_offsets: bool, expected: list[Any]) -> None:
    """A blank word counts as a word, and is no candidate."""
    table = pa.table({"text": ["a", ""], "words": [["u", "", "v"], None]})
    assert decoding_context(FragmentTexts(table), found, with_offsets).to_pylist() == expected
