"""Heads that choose: labels of texts and pairs, choices, candidates; against the oracle one row at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.parity.tasks.conftest import Outputs
from tests.parity.tasks.job import TEMPLATE
from tests.parity.tasks.reference import TOLERANCE, Reference, assert_near, is_tie
from tests.parity.tasks.rows import CANDIDATES
from tests.task_checkpoints import NLI_LABELS, TAGS, TOPICS

Rows = list[dict[str, Any]]
ENTAILMENT, CONTRADICTION = NLI_LABELS.index("entailment"), NLI_LABELS.index("contradiction")


@pytest.mark.parametrize(
    ("head", "checkpoint", "columns", "labels"),
    [
        ("topic", "topic", ("text",), TOPICS),
        ("own", "own", ("text",), TOPICS),
        ("entails", "nli", ("premise", "hypothesis"), NLI_LABELS),
    ],
)
def test_single_label(
    rows: Rows,
    outputs: Outputs,
    reference: Reference,
    head: str,
    checkpoint: str,
    columns: tuple[str, ...],
    labels: tuple[str, ...],
) -> None:
    num_clear = 0
    for i, row in enumerate(rows):
        logits = reference.logits(checkpoint, reference.ids(*(row[column] for column in columns)))
        num_clear += not is_tie(logits)
        for size, output in outputs.items():
            found, where = output[i][head], f"row {i}, {size} ranks"
            assert_near(found["logits"], logits, where)
            assert_near(found["score"], logits.double().softmax(-1).max(), where)
            assert is_tie(logits) or found["label"] == labels[int(logits.argmax())], where
    assert num_clear >= 200
    assert len({row[head]["label"] for row in outputs[1]}) > 1


def test_multi_label(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    for i, row in enumerate(rows):
        logits = reference.logits("tags", reference.ids(row["text"]))
        expected = [tag for tag, logit in zip(TAGS, logits.tolist(), strict=True) if logit >= 0]
        for size, output in outputs.items():
            found, where = output[i]["tags"], f"row {i}, {size} ranks"
            assert_near(found["logits"], logits, where)
            assert_near(found["scores"], logits.sigmoid(), where)
            assert bool((logits.abs() < TOLERANCE).any()) or found["labels"] == expected, where
    assert len({tuple(row["tags"]["labels"]) for row in outputs[1]}) > 1


def test_regression(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    for i, row in enumerate(rows):
        value = reference.logits("value", reference.ids(row["text"]))
        for size, output in outputs.items():
            assert list(output[i]["value"]) == ["value"]
            assert_near(output[i]["value"]["value"], value[0], f"row {i}, {size} ranks")


@pytest.mark.parametrize("head", ["choice", "choice_columns"])
def test_multiple_choice(rows: Rows, outputs: Outputs, reference: Reference, head: str) -> None:
    for i, row in enumerate(rows):
        choices = row["choices"] if head == "choice" else [row["choice1"], row["choice2"]]
        batch = reference.slow([row["prompt"]] * len(choices), choices, padding=True, return_tensors="pt")
        with torch.inference_mode():
            logits = reference.checkpoints.oracle("choice")(
                batch["input_ids"][None], attention_mask=batch["attention_mask"][None]
            ).logits[0]
        for size, output in outputs.items():
            found, where = output[i][head], f"row {i}, {size} ranks"
            assert_near(found["logits"], logits, where)
            assert_near(found["scores"], logits.double().softmax(-1), where)
            assert is_tie(logits) or found["choice"] == int(logits.argmax()), where
    assert len({row[head]["choice"] for row in outputs[1]}) > 1


def test_zero_shot(rows: Rows, outputs: Outputs, reference: Reference) -> None:
    """The candidates of the configuration share one softmax over their entailment."""
    for i, row in enumerate(rows):
        entailment = _nli_logits(reference, row["premise"], TEMPLATE, CANDIDATES)[:, ENTAILMENT]
        _assert_candidates(outputs, "zero_shot", i, CANDIDATES, entailment.softmax(-1))


@pytest.mark.parametrize("head", ["zero_shot_column", "zero_shot_each"])
def test_zero_shot_with_candidates_from_a_column(
    rows: Rows, outputs: Outputs, reference: Reference, head: str
) -> None:
    """A candidate that is alone, or that is judged alone, is weighed against its contradiction."""
    for i, row in enumerate(rows):
        candidates = row["candidates"]
        logits = _nli_logits(reference, row["premise"], "This example is {}.", candidates)
        scores = logits[:, ENTAILMENT].softmax(-1)
        if head == "zero_shot_each" or len(candidates) == 1:
            scores = logits[:, [CONTRADICTION, ENTAILMENT]].softmax(-1)[:, 1]
        _assert_candidates(outputs, head, i, candidates, scores)


def _nli_logits(reference: Reference, premise: str, template: str, candidates: Any) -> Tensor:
    pairs = [reference.ids(premise, template.format(candidate)) for candidate in candidates]
    return torch.stack([reference.logits("nli", ids) for ids in pairs]).double()


def _assert_candidates(outputs: Outputs, head: str, row: int, candidates: Any, scores: Tensor) -> None:
    best_first = scores.argsort(descending=True, stable=True)
    for size, output in outputs.items():
        found, where = output[row][head], f"row {row}, {size} ranks"
        assert_near(found["scores"], scores[best_first], where)
        assert sorted(found["labels"]) == sorted(candidates), where
        is_clear = not is_tie(scores, len(candidates) - 1) if len(candidates) > 1 else True
        assert not is_clear or found["labels"] == [candidates[k] for k in best_first.tolist()], where
        assert np.diff(found["scores"]).max(initial=-1) <= 0, where
