from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import ZeroShotClassificationPipeline

from pipeline.errors import ConfigError
from pipeline.tasks.zero_shot_classification import (
    ZeroShotHead,
    entailment_ids,
    hypotheses,
    zero_shot_column,
    zero_shot_scores,
)

XNLI = {0: "entailment", 1: "neutral", 2: "contradiction"}
MNLI = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}
TYPE = pa.struct([pa.field("labels", pa.list_(pa.string())), pa.field("scores", pa.list_(pa.float32()))])
BATCHES = st.tuples(
    st.lists(st.lists(st.text(max_size=4), min_size=1, max_size=5, unique=True), max_size=5), st.integers(0, 2**32)
)


def oracle(logits: np.ndarray, candidates: list[str], id2label: dict[int, str], multi_label: bool) -> Any:
    """What the pipeline's own code makes of one row's logits."""
    pipe = object.__new__(ZeroShotClassificationPipeline)
    label2id = {label: i for i, label in id2label.items()}
    pipe.model = SimpleNamespace(config=SimpleNamespace(label2id=label2id))
    pipe.framework = "pt"
    outputs = [
        {"candidate_label": candidate, "sequence": "", "logits": torch.from_numpy(logits[i : i + 1])}
        for i, candidate in enumerate(candidates)
    ]
    return pipe.postprocess(outputs, multi_label=multi_label)


def classified(
    rows: list[list[str]], logits: np.ndarray, id2label: dict[int, str], multi_label: bool = False
) -> list[dict[str, Any]]:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    ids = entailment_ids(id2label, multi_label=multi_label)
    scores = zero_shot_scores(logits, offsets, *ids, multi_label=multi_label)
    column = zero_shot_column(scores, offsets, [label for row in rows for label in row])
    column.validate(full=True)
    assert column.type == TYPE
    return list(column.to_pylist())


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(
    "id2label",
    [
        {0: "contradiction", 1: "neutral", 2: "Entailment"},
        {0: "entailment", 1: "neutral", 2: "contradiction"},
        {0: "entailment", 1: "not_entailment"},
        {0: "not_entailment", 1: "entailment"},
    ],
)
@given(BATCHES)
def test_scores_are_those_of_transformers(
    id2label: dict[int, str], multi_label: bool, batch: tuple[list[list[str]], int]
) -> None:
    rows, seed = batch
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(sum(map(len, rows)), len(id2label))).astype(np.float32)
    found = classified(rows, logits, id2label, multi_label)
    begin = 0
    for row, value in zip(rows, found, strict=True):
        expected = oracle(logits[begin : begin + len(row)], row, id2label, multi_label)
        begin += len(row)
        assert value["labels"] == expected["labels"]
        assert value["scores"] == pytest.approx(expected["scores"], rel=1e-5)


def test_the_contradiction_is_found_by_its_name() -> None:
    """Transformers takes label 0 for it, here the neutral one."""
    id2label = {0: "neutral", 1: "contradiction", 2: "entailment"}
    logits = np.array([[9, 1, 1]], dtype=np.float32)
    [value] = classified([["sport"]], logits, id2label, multi_label=True)
    assert value["scores"] == pytest.approx([0.5])
    assert oracle(logits, ["sport"], id2label, True)["scores"] == pytest.approx(
        [np.exp(1) / (np.exp(9) + np.exp(1))]
    )


def test_a_row_of_one_candidate_is_judged_by_itself_among_rows_of_several() -> None:
    logits = np.array([[2, 0, 2], [1, 0, 0], [1, 0, 0]], dtype=np.float32)
    values = classified([["a"], ["b", "c"]], logits, XNLI)
    assert values == [{"labels": ["a"], "scores": [0.5]}, {"labels": ["b", "c"], "scores": [0.5, 0.5]}]


def test_without_a_contradiction_one_candidate_is_judged_by_all_classes() -> None:
    logits = np.log(np.array([[2, 1, 1]], dtype=np.float32))
    [value] = classified([["a"]], logits, {0: "entailment", 1: "neutral", 2: "unrelated"})
    assert value["scores"] == pytest.approx([0.5])


def test_a_row_without_candidates_is_empty() -> None:
    assert classified([[]], np.zeros((0, 3), dtype=np.float32), XNLI) == [{"labels": [], "scores": []}]


@pytest.mark.parametrize(
    ("id2label", "expected"),
    [
        (XNLI, (0, 2)),
        (MNLI, (2, 0)),
        ({0: " Entails ", 1: "Contradicts"}, (0, 1)),
        ({1: "entailment", 0: "non-entailment"}, (1, 0)),
        ({0: "neutral", 1: "entailment"}, (1, 0)),
        ({0: "entailment", 1: "neutral", 2: "unrelated"}, (0, None)),
        ({0: "entailment"}, (0, None)),
    ],
)
def test_labels_are_found_by_name(id2label: dict[int, str], expected: tuple[int, int | None]) -> None:
    assert entailment_ids(id2label) == expected


@pytest.mark.parametrize(
    ("id2label", "multi_label", "found"),
    [
        ({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, False, "none among 'LABEL_0', 'LABEL_1', 'LABEL_2'"),
        ({0: "not_entailment", 1: "neutral"}, False, "none among 'not_entailment', 'neutral'"),
        ({0: "entailment", 1: "entailed", 2: "contradiction"}, False, "'entailment' and 'entailed'"),
        (
            {0: "entailment", 1: "contradiction", 2: "not_entailment"},
            False,
            "'contradiction' and 'not_entailment'",
        ),
        ({0: "entailment", 1: "neutral", 2: "other"}, True, "none among 'entailment', 'neutral', 'other'"),
    ],
)
def test_label_maps_that_do_not_tell_are_refused(id2label: dict[int, str], multi_label: bool, found: str) -> None:
    with pytest.raises(ConfigError, match="exactly one label") as error:
        entailment_ids(id2label, multi_label=multi_label)
    assert f"id2label: found {found}, expected" in str(error.value)
    assert "config.json" in str(error.value)


def test_the_label_goes_where_the_braces_are_whatever_it_holds() -> None:
    template = "{This} is about {}: 100 %s."
    assert hypotheses(template, ["{}", "\\1", ""]) == [
        "{This} is about {}: 100 %s.",
        "{This} is about \\1: 100 %s.",
        "{This} is about : 100 %s.",
    ]


@pytest.mark.parametrize("template", ["This is it.", "{} or {}", "{label}", "{ }"])
def test_a_template_has_one_place_for_the_label(template: str) -> None:
    with pytest.raises(ValidationError, match=r"expected one \{\}"):
        ZeroShotHead(task="zero-shot-classification", labels=("a",), hypothesis_template=template)
