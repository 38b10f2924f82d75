"""Heads that label tokens: entities, words and answers; against Transformers' pipeline and brute force."""

import itertools
from typing import Any

import pytest

from tests.parity.tasks.answers import best_answer
from tests.parity.tasks.conftest import Outputs
from tests.parity.tasks.entities import entities_of, word_probabilities
from tests.parity.tasks.job import ANSWER_WINDOWS
from tests.parity.tasks.reference import TOLERANCE, Reference, assert_near, is_tie
from tests.task_checkpoints import WORD_LABELS

Rows = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("head", "column", "strategy"),
    [
        ("simple", "spaced", "simple"),
        ("unspaced_entities", "unspaced", "simple"),
        ("first", "spaced", "first"),
        ("average", "spaced", "average"),
        ("max", "spaced", "max"),
    ],
)
def test_entities_are_those_of_transformers(
    rows: Rows, outputs: Outputs, reference: Reference, head: str, column: str, strategy: str
) -> None:
    num_compared = 0
    for i, row in enumerate(rows):
        text = row[column]
        probabilities = reference.logits("entities", reference.ids(text))[1:-1].softmax(-1)
        expected = entities_of(reference, text, probabilities, strategy)
        num_compared += expected is not None
        for size, output in outputs.items():
            found, where = output[i][head], f"row {i}, {size} ranks"
            assert all(e["text"] == text[e["start"] : e["end"]] for e in found), where
            if expected is not None:
                spans = [(e["entity"], e["start"], e["end"]) for e in found]
                assert spans == [(e["entity_group"], e["start"], e["end"]) for e in expected], where
                assert_near([e["score"] for e in found], [e["score"] for e in expected], where)
    assert num_compared >= 190, f"compared {num_compared}"


@pytest.mark.parametrize(
    ("head", "strategy"), [("words", "first"), ("words_average", "average"), ("words_max", "max")]
)
def test_one_label_a_word(rows: Rows, outputs: Outputs, reference: Reference, head: str, strategy: str) -> None:
    num_clear = 0
    for i, row in enumerate(rows):
        pieces = [reference.body(word) for word in row["tokens"]]
        logits = reference.logits("words", [0, *itertools.chain.from_iterable(pieces), 2])[1:-1].double()
        probabilities = word_probabilities(logits.softmax(-1), [len(p) for p in pieces], strategy)
        labels = [WORD_LABELS[k] for k in probabilities.argmax(1).tolist()]
        is_clear = not is_tie(probabilities)
        num_clear += is_clear
        for size, output in outputs.items():
            found, where = output[i][head], f"row {i}, {size} ranks"
            assert len(found) == len(row["tokens"]), where
            assert not is_clear or [word["label"] for word in found] == labels, where
            assert_near([word["score"] for word in found], probabilities.max(1).values, where)
    assert num_clear >= 200


@pytest.mark.parametrize(
    ("head", "max_tokens", "cut"),
    [("answer", 30, {}), ("short_answer", 3, {}), ("answer_in_windows", 30, ANSWER_WINDOWS)],
)
def test_answers_are_the_best_spans(
    rows: Rows, outputs: Outputs, reference: Reference, head: str, max_tokens: int, cut: dict[str, int]
) -> None:
    num_spans = 0
    for i, row in enumerate(rows):
        best = best_answer(reference, row["question"], row["context"], max_tokens, **cut)
        offsets = reference.offsets(row["context"])
        for size, output in outputs.items():
            found, where = output[i][head], f"row {i}, {size} ranks"
            assert found["answer"] == row["context"][found["start"] : found["end"]], where
            assert_near(found["score"], best.score, where)
            assert_near(found["null_score"], best.null_score, where)
            if offsets is not None and best.score - best.next_score > TOLERANCE:
                num_spans += 1
                assert (found["start"], found["end"]) == (offsets[best.first][0], offsets[best.last][1]), where
    assert num_spans >= 2 * 200, f"compared {num_spans}"
