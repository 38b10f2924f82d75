"""Every error that a row can get has a kind, and the texts are those that outputs hold already."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching.finite_results import NOT_FINITE
from pipeline.batching.lost_rows import row_problems
from pipeline.encoding.routes import route_rows
from pipeline.encoding.row_texts import Problem, text_field, text_list_field
from pipeline.row_errors import ErrorKind, count_kinds, kind_of
from pipeline.stages.crash_isolation import REASON
from pipeline.tasks.vector_columns import NOT_FINITE_IN_FLOAT16

TOO_LARGE = "its sequence of 90 tokens does not fit in the memory of a rank; give the head a smaller window, or …"
POISON = "the model process died on this row three times (ActorDiedError); take it out of the input, or look …"
TEXTS = {
    "column 'text' is null, expected text": "no_text",
    "column 'text' is empty, expected text": "no_text",
    "column 'text' is blank, expected text; column 'b' is not UTF-8 (byte 0), expected text": "no_text",
    "column 'choices' is an empty list, expected a list of texts": "no_text",
    "column 'choices' is null at index 3, expected a list of texts": "no_text",
    "column 'choices', item 2, has nothing but invisible characters, expected text": "no_text",
    "candidate 11 has nothing but invisible characters, expected text": "no_text",
    "column 'text' is not UTF-8 (byte 4), expected text": "not_utf8",
    "column 'words' is not UTF-8 (byte 0) at index 1, expected a list of texts": "not_utf8",
    "column 'text' has type int64, expected text": "wrong_type",
    "column 'heads' names 'topics', expected names among topic, loss": "unknown_head",
    "column 'heads' holds a name that is null, expected names of heads": "unknown_head",
    "column 'text' has no <mask>, expected one or more": "no_mask",
    REASON: "crashed",
    f"topic, loss: {POISON}": "crashed",
    f"topic: {TOO_LARGE}": "out_of_memory",
    f"topic: {NOT_FINITE}": "not_finite",
    f"half: {NOT_FINITE_IN_FLOAT16}; topic: {TOO_LARGE}": "not_finite",
    f"topic: {TOO_LARGE}; half: {NOT_FINITE_IN_FLOAT16}": "out_of_memory",
    "the moon was in the wrong place": "other",
    "column 'text' is purple, expected text": "other",
}


@pytest.mark.parametrize(("error", "kind"), TEXTS.items())
def test_each_error_has_a_kind(error: str, kind: str) -> None:
    assert kind_of(error) == kind


def test_the_kinds_are_those_that_can_be_counted() -> None:
    assert set(TEXTS.values()) == set(ErrorKind)


@given(st.text(), st.sampled_from(["is null", "is not UTF-8 (byte 1)"]))
def test_names_of_columns_do_not_matter(name: str, found: str) -> None:
    expected = ErrorKind.NO_TEXT if found == "is null" else ErrorKind.NOT_UTF8
    assert kind_of(str(Problem(name, found, "text"))) == expected


@given(st.text())
def test_names_that_rows_give_do_not_matter(name: str) -> None:
    routes = route_rows(pa.table({"it's": [name]}), "it's", ["topic"])
    assert [kind_of(error) for error in routes.errors.values()] == (
        [] if name == "topic" else [ErrorKind.UNKNOWN_HEAD]
    )


def test_what_is_found_in_columns_has_a_kind() -> None:
    texts = [None, "", " ", b"\xff"]
    found = text_field(pa.table({"a": pa.array([t.encode() if isinstance(t, str) else t for t in texts])}), "a")
    lists = [None, [], [None], [b"\xff"]]
    found += text_list_field(pa.table({"a": pa.array(lists, pa.list_(pa.binary()))}), "a")  # type: ignore[arg-type]
    kinds = [kind_of(str(problem)) for problem in found]
    assert kinds == ["no_text", "no_text", "no_text", "not_utf8"] * 2
    assert kind_of(str(text_field(pa.table({"a": [1]}), "a")[0])) == "wrong_type"
    assert kind_of(str(text_list_field(pa.table({"a": [1]}), "a")[0])) == "wrong_type"


def test_results_that_are_lost_have_a_kind_whatever_the_names_of_heads() -> None:
    problems = row_problems({"a": {0: NOT_FINITE, 1: POISON}, "names": {0: TOO_LARGE, 1: POISON}})
    assert [kind_of(error) for error in problems.values()] == ["not_finite", "crashed"]


def test_counts_are_of_rows_in_the_order_of_the_list() -> None:
    counts = count_kinds([(REASON, 2), ("column 'a' is null, expected text", 3), (f"topic: {POISON}", 1)])
    assert list(counts.items()) == [("no_text", 3), ("crashed", 3)]
