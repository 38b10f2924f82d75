"""The Arrow type of each task's column."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS, HeadConfig
from pipeline.tasks.text_classification import ProblemType, TextClassificationHead
from tests.comet_checkpoints import converted_options
from tests.unit.pipeline.compute_fixtures import tiny_config

CLASSIFIER = TextClassificationHead(task="text-classification")


@pytest.mark.parametrize(
    ("problem_type", "expected"),
    [
        ("single_label_classification", "struct<label: string, score: float, logits: list<item: float>>"),
        (
            "multi_label_classification",
            "struct<labels: list<item: string>, scores: list<item: float>, logits: list<item: float>>",
        ),
        ("regression", "struct<value: float>"),
    ],
)
def test_types_of_classifiers(problem_type: ProblemType, expected: str) -> None:
    config = tiny_config(problem_type=problem_type)
    assert str(TASKS[CLASSIFIER.task].output_type(CLASSIFIER, config)) == expected
    bare = CLASSIFIER.model_copy(update={"logits": False})
    without = expected.replace(", logits: list<item: float>", "")
    assert str(TASKS[bare.task].output_type(bare, config)) == without


FLOATS = "list<item: float>"
STRINGS = "list<item: string>"
LOSS = "struct<loss: double, nll: double, num_tokens: int32>"
LOSS_AND_PERPLEXITY = LOSS.replace(">", ", perplexity: double>")


def type_of(hidden_size: int = 16, metric: str = "xcomet", **options: Any) -> str:
    head: HeadConfig = TypeAdapter(HeadConfig).validate_python(options)
    config = tiny_config(hidden_size=hidden_size, comet=converted_options(metric))
    return str(TASKS[head.task].output_type(head, config))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"task": "token-classification"},
            "list<item: struct<entity: string, start: int32, end: int32, text: string, score: float>>",
        ),
        (
            {"task": "token-classification", "words": "tokens"},
            "list<item: struct<label: string, score: float>>",
        ),
        (
            {"task": "question-answering"},
            "struct<answer: string, start: int32, end: int32, score: float, null_score: float>",
        ),
        ({"task": "multiple-choice"}, f"struct<choice: int32, scores: {FLOATS}, logits: {FLOATS}>"),
        ({"task": "multiple-choice", "logits": False}, f"struct<choice: int32, scores: {FLOATS}>"),
        (
            {"task": "fill-mask"},
            "list<item: list<item: struct<token: string, token_id: int32, score: float>>>",
        ),
        ({"task": "masked-lm-loss"}, LOSS),
        ({"task": "causal-lm-loss"}, LOSS),
        ({"task": "masked-lm-loss", "perplexity": True}, LOSS_AND_PERPLEXITY),
        ({"task": "causal-lm-loss", "perplexity": True}, LOSS_AND_PERPLEXITY),
        ({"task": "text-generation"}, "struct<text: string, num_tokens: int32>"),
        (
            {"task": "zero-shot-classification", "labels": ["a"]},
            f"struct<labels: {STRINGS}, scores: {FLOATS}>",
        ),
    ],
)
def test_types_of_the_other_tasks(options: dict[str, Any], expected: str) -> None:
    assert type_of(**options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "fixed_size_list<item: float>[16]"),
        ({"dtype": "float16"}, "fixed_size_list<item: halffloat>[16]"),
        ({"dtype": "int8", "dimensions": 5}, "fixed_size_list<item: int8>[5]"),
        ({"dtype": "ubinary"}, "fixed_size_list<item: uint8>[2]"),
        ({"dtype": "ubinary", "dimensions": 8}, "fixed_size_list<item: uint8>[1]"),
        ({"level": "token", "dimensions": 3}, "list<item: fixed_size_list<item: float>[3]>"),
        ({"layer": 0}, "fixed_size_list<item: float>[16]"),
        (
            {"layers": [-1, 0], "dtype": "int8"},
            "struct<layer_0: fixed_size_list<item: int8>[16], layer_2: fixed_size_list<item: int8>[16]>",
        ),
        (
            {"layers": [1], "level": "token", "dimensions": 3},
            "struct<layer_1: list<item: fixed_size_list<item: float>[3]>>",
        ),
    ],
)
def test_types_of_embeddings(options: dict[str, Any], expected: str) -> None:
    assert type_of(task="embedding", **options) == expected


def test_a_vector_of_more_dimensions_than_the_model_has_no_type() -> None:
    with pytest.raises(ValueError, match=r"^dimensions: found 17, expected at most .* 16"):
        type_of(task="embedding", dimensions=17)


def test_all_layers_are_the_embeddings_and_each_layer() -> None:
    vector = "fixed_size_list<item: float>[16]"
    expected = f"struct<layer_0: {vector}, layer_1: {vector}, layer_2: {vector}>"
    assert type_of(task="embedding", layers="all") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 3}, r"^layer: found 3, expected 0 \(the embeddings\) to 2 \(the last layer\), or -3 to -1"),
        ({"layer": -4}, r"^layer: found -4, expected 0 "),
        ({"layers": [0, 7]}, r"^layers: found 7, expected 0 "),
        ({"layers": [1, -2]}, r"^layers: found \[1, -2\], expected each layer once"),
    ],
)
def test_layers_that_the_model_has_not_have_no_type(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        type_of(task="embedding", **options)


SPANS = "list<item: struct<severity: string, start: int32, end: int32, text: string, score: float>>"
SUB_SCORES = "src_score: float, ref_score: float, unified_score: float"


@pytest.mark.parametrize(
    ("metric", "reference", "expected"),
    [
        ("kiwi", None, "struct<score: float>"),
        ("unite", None, "struct<score: float>"),
        ("unite", "r", f"struct<score: float, {SUB_SCORES}>"),
        ("xcomet", None, f"struct<score: float, src_score: float, mqm_score: float, spans: {SPANS}>"),
        ("xcomet", "r", f"struct<score: float, {SUB_SCORES}, mqm_score: float, spans: {SPANS}>"),
    ],
)
def test_types_of_translation_quality(metric: str, reference: str | None, expected: str) -> None:
    assert type_of(task="translation-quality", metric=metric, reference=reference) == expected


def test_a_metric_without_references_has_no_type_for_one() -> None:
    with pytest.raises(ValueError, match=r'^reference: found "r", expected none, as this checkpoint was trained'):
        type_of(task="translation-quality", metric="kiwi", reference="r")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, r"^weights: found no comet in its config.json, expected a checkpoint that xlmr-convert"),
        ({"metric": "bleu"}, r"^weights: comet.metric has a value that no converted COMET checkpoint has, 'bleu'"),
    ],
)
def test_other_weights_have_no_type(values: dict[str, Any] | None, message: str) -> None:
    head: HeadConfig = TypeAdapter(HeadConfig).validate_python({"task": "translation-quality"})
    with pytest.raises(ValueError, match=message):
        TASKS[head.task].output_type(head, tiny_config(comet=values))


def test_every_task_has_a_type() -> None:
    for task in HEAD_SECTIONS:
        labels: dict[str, Any] = {"labels": ["a"]} if task.startswith("zero") else {}
        assert type_of(task=task, **labels)
