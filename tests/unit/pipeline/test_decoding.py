from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline.decoding import decode_head
from pipeline.heads import Head
from tests.unit.pipeline.compute_fixtures import make_head, tiny_config

NAMES = {0: "sport", 1: "politics", 2: "music"}
LOGITS = hnp.arrays(np.float32, st.tuples(st.integers(0, 8), st.just(3)), elements=st.floats(-60, 60, width=32))


def classifier(problem_type: str | None) -> Head:
    config = tiny_config(id2label=NAMES, problem_type=problem_type)
    return make_head("topic", "text-classification", config=config)


def decoded(head: Head, values: NDArray[np.float32], rows: list[int], num_rows: int) -> list[Any]:
    """The column as Python values; its type is checked on the way."""
    column = decode_head(head, values, np.array(rows, dtype=np.int32), num_rows)
    column.validate(full=True)
    assert column.type == head.output_type
    assert len(column) == num_rows
    return list(column.to_pylist())


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True).astype(np.float64))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


@given(LOGITS)
@pytest.mark.parametrize("problem_type", ["single_label_classification", None])
def test_a_single_label_is_the_likeliest_with_its_softmax(
    problem_type: str | None, logits: NDArray[np.float32]
) -> None:
    found = decoded(classifier(problem_type), logits, list(range(len(logits))), len(logits))
    for row, value in enumerate(found):
        best = int(np.argmax(logits[row]))
        assert value["label"] == NAMES[best]
        assert value["score"] == pytest.approx(softmax(logits)[row, best], rel=1e-6)
        assert value["logits"] == logits[row].tolist()


@given(LOGITS)
def test_of_several_labels_each_holds_at_one_half(logits: NDArray[np.float32]) -> None:
    head = classifier("multi_label_classification")
    found = decoded(head, logits, list(range(len(logits))), len(logits))
    scores = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    for row, value in enumerate(found):
        assert value["labels"] == [NAMES[i] for i in range(3) if scores[row, i] >= 0.5]
        assert value["scores"] == pytest.approx(scores[row].tolist(), rel=1e-6)
        assert value["logits"] == logits[row].tolist()


def test_a_logit_of_zero_holds() -> None:
    [value] = decoded(
        classifier("multi_label_classification"), np.array([[0, -1e-3, 1e-3]], dtype=np.float32), [0], 1
    )
    assert value["labels"] == ["sport", "music"]


@pytest.mark.parametrize("problem_type", ["regression", None])
def test_regression_is_the_bare_value(problem_type: str | None) -> None:
    head = make_head("quality", "text-classification", config=tiny_config(num_labels=1, problem_type=problem_type))
    logits = np.array([[1.5], [-2.25]], dtype=np.float32)
    assert decoded(head, logits, [2, 0], 3) == [{"value": -2.25}, None, {"value": 1.5}]


def test_embeddings_are_lists_of_a_fixed_size() -> None:
    head = make_head("vector", "embedding", config=tiny_config(hidden_size=4, intermediate_size=8))
    vectors = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert decoded(head, vectors, [1, 0], 3) == [[4, 5, 6, 7], [0, 1, 2, 3], None]


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 40, width=32)), max_size=40))
def test_losses_are_sums_over_the_tokens_of_a_row(tokens: list[tuple[int, float]]) -> None:
    """A row's tokens may come from several batches, in any order."""
    nll = np.array([value for _, value in tokens], dtype=np.float32)
    found = decoded(make_head("loss", "masked-lm-loss"), nll, [row for row, _ in tokens], 7)
    for row, value in enumerate(found):
        of_row = [float(value) for r, value in tokens if r == row]
        if not of_row:
            assert value is None
            continue
        assert value["num_tokens"] == len(of_row)
        assert value["nll"] == pytest.approx(sum(of_row))
        assert value["loss"] == pytest.approx(sum(of_row) / len(of_row))


def test_losses_are_summed_in_double_precision() -> None:
    nll = np.concatenate([np.full(1, 2.0**24), np.ones(100)]).astype(np.float32)
    [value] = decoded(make_head("loss", "masked-lm-loss"), nll, [0] * 101, 1)
    assert value == {"loss": (2**24 + 100) / 101, "nll": 2.0**24 + 100, "num_tokens": 101}


HEADS = [
    classifier("single_label_classification"),
    classifier("multi_label_classification"),
    make_head("quality", "text-classification", config=tiny_config(num_labels=1)),
    make_head("vector", "embedding", config=tiny_config(hidden_size=4, intermediate_size=8)),
]


@given(st.sampled_from(HEADS), st.data())
def test_values_go_to_their_rows_and_null_to_all_others(head: Head, data: st.DataObject) -> None:
    num_rows = data.draw(st.integers(1, 12))
    rows = data.draw(st.lists(st.integers(0, num_rows - 1), unique=True))
    width = 4 if head.name == "vector" else head.config.num_labels
    values = np.random.default_rng(0).standard_normal((len(rows), width)).astype(np.float32)
    found = decoded(head, values, rows, num_rows)
    in_order = decoded(head, values, list(range(len(rows))), len(rows))
    expected: list[Any] = [None] * num_rows
    for row, value in zip(rows, in_order, strict=True):
        expected[row] = value
    assert found == expected


@pytest.mark.parametrize("head", [*HEADS, make_head("loss", "masked-lm-loss")], ids=lambda head: head.name)
def test_a_head_that_no_row_has_asked_for_is_null_throughout(head: Head) -> None:
    width = 4 if head.name == "vector" else head.config.num_labels
    assert decoded(head, np.zeros((0, width), dtype=np.float32), [], 5) == [None] * 5
