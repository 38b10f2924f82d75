"""Pairs that fit one window, whichever text is the longer: the oracle on what its own tokenizer makes of them."""

from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from model import ShardGroup
from tests.parity.tasks.answers import best_answer
from tests.parity.tasks.job import annotate
from tests.parity.tasks.reference import TOLERANCE, Reference, assert_near
from tests.parity.tasks.rows import long_documents
from tests.task_checkpoints import NLI_LABELS, TaskCheckpoints

Row = dict[str, Any]
SMALL, SHORT_STRIDE = 64, 8
ENTAILMENT = NLI_LABELS.index("entailment")
# Characters of the text and of its companion. One of the two has more tokens than half of a window, in all but the
# last of a language; together they fit it. A window of SMALL tokens fits only the last English one.
SHAPES = {
    "en": [(20, 1500), (400, 1500), (1500, 20), (1500, 600), (40, 60)],
    "zh": [(10, 420), (150, 400), (420, 12), (40, 60)],
}
LABELS = ("law", "the right of everyone to rest and to leisure, and to some days off " * 20)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Choices and candidates are the companion and others that are shorter or longer."""
    english, _, chinese = (row["text"].strip() for row in long_documents().to_pylist())
    rows = []
    for document, language in ((english, "en"), (chinese, "zh")):
        for size, companion_size in SHAPES[language]:
            text, companion = document[:size], document[200 : 200 + companion_size]
            choices = [companion, companion[: companion_size // 2], "Yes."]
            rows.append({"text": text, "companion": companion, "choices": choices})
    return rows


@pytest.fixture(scope="module")
def output(rows: list[Row], checkpoints: TaskCheckpoints, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    path = checkpoints.path
    pair = {"task": "text-classification", "weights": path("nli"), "text_pair": "companion"}
    answer = {"task": "question-answering", "weights": path("answer")}
    choice = {"task": "multiple-choice", "weights": path("choice"), "prompt": "text"}
    zero_shot = {"task": "zero-shot-classification", "weights": path("nli"), "hypothesis_template": "{}"}
    heads = {
        "pair": pair,
        "pair_cut": pair | {"truncate": True},
        "pair_small": pair | {"window": SMALL, "stride": SHORT_STRIDE},
        "pair_small_cut": pair | {"window": SMALL, "truncate": True},
        "answer": answer | {"question": "companion", "context": "text"},
        "answer_cut": answer | {"question": "companion", "context": "text", "truncate": True},
        "choice": choice,
        "choice_columns": choice | {"choices": ["companion", "text"]},
        "labels": zero_shot | {"labels": list(LABELS)},
        "labels_column": zero_shot | {"labels_column": "choices"},
    }
    directory = tmp_path_factory.mktemp("pairs")
    return annotate(ShardGroup(), directory, pa.Table.from_pylist(rows), heads, checkpoints.encoder)


def test_the_rows_are_what_they_should_be(rows: list[Row], output: list[Row], reference: Reference) -> None:
    lengths = [[len(reference.body(row[name])) for name in ("text", "companion")] for row in rows]
    assert all(sum(pair) <= 508 for pair in lengths)
    assert sum(max(pair) > 254 for pair in lengths) == len(rows) - len(SHAPES)
    assert [row["error"] for row in output] == [None] * len(rows)


@pytest.mark.parametrize("head", ["pair", "pair_cut"])
def test_second_texts(rows: list[Row], output: list[Row], reference: Reference, head: str) -> None:
    for row, found in zip(rows, output, strict=True):
        expected = reference.logits("nli", reference.ids(row["text"], row["companion"]))
        assert_near(found[head]["logits"], expected, head)


@pytest.mark.parametrize("head", ["pair_small", "pair_small_cut"])
def test_a_pair_that_does_not_fit_is_cut_as_transformers_does(
    rows: list[Row], output: list[Row], reference: Reference, head: str
) -> None:
    """Without `truncate`, where its first text takes no more than half of the window."""
    num_compared = 0
    for row, found in zip(rows, output, strict=True):
        if head == "pair_small" and len(reference.body(row["text"])) > (SMALL - 4) // 2:
            continue
        num_compared += 1
        cut = reference.fast(row["text"], row["companion"], truncation=True, max_length=SMALL)
        assert_near(found[head]["logits"], reference.logits("nli", cut["input_ids"]), head)
    assert num_compared >= 3


@pytest.mark.parametrize("head", ["answer", "answer_cut"])
def test_questions(rows: list[Row], output: list[Row], reference: Reference, head: str) -> None:
    for row, found in zip(rows, output, strict=True):
        best = best_answer(reference, row["companion"], row["text"], 30)
        answer, offsets = found[head], reference.offsets(row["text"])
        assert_near(answer["score"], best.score, head)
        assert_near(answer["null_score"], best.null_score, head)
        if offsets is not None and best.score - best.next_score > TOLERANCE:
            assert (answer["start"], answer["end"]) == (offsets[best.first][0], offsets[best.last][1])


def test_choices(rows: list[Row], output: list[Row], reference: Reference) -> None:
    num_compared = 0
    for row, found in zip(rows, output, strict=True):
        for head, choices in (("choice", row["choices"]), ("choice_columns", [row["companion"], row["text"]])):
            pairs = [reference.ids(row["text"], choice) for choice in choices]
            if max(map(len, pairs)) <= 512:
                num_compared += 1
                assert_near(found[head]["logits"], torch.cat([_choice(reference, ids) for ids in pairs]), head)
    assert num_compared >= len(rows) + 3


def test_candidates(rows: list[Row], output: list[Row], reference: Reference) -> None:
    num_compared = 0
    for row, found in zip(rows, output, strict=True):
        for head, labels in (("labels", LABELS), ("labels_column", row["choices"])):
            pairs = [reference.ids(row["text"], label) for label in labels]
            if max(map(len, pairs)) <= 512:
                num_compared += 1
                logits = torch.stack([reference.logits("nli", ids)[ENTAILMENT] for ids in pairs])
                scores = dict(zip(labels, logits.softmax(0).tolist(), strict=True))
                assert_near(found[head]["scores"], [scores[label] for label in found[head]["labels"]], head)
    assert num_compared >= len(rows) + 3


def _choice(reference: Reference, ids: list[int]) -> Tensor:
    """The score of one choice."""
    with torch.inference_mode():
        scores: Tensor = reference.checkpoints.oracle("choice")(torch.tensor([[ids]])).logits[0]
    return scores
