from typing import Any, get_args

import pytest
from pydantic import ValidationError

from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS, HeadConfig
from pipeline.tasks.embedding import EmbeddingHead
from pipeline.tasks.multiple_choice import MultipleChoiceHead
from pipeline.tasks.question_answering import QuestionAnsweringHead
from pipeline.tasks.sections import InputColumn
from pipeline.tasks.text_classification import TextClassificationHead
from pipeline.tasks.token_classification import TokenClassificationHead
from pipeline.tasks.zero_shot_classification import ZeroShotHead


def refused(section: type[Any], **options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        section(**options)
    return str(caught.value)


def test_every_task_has_one_class_of_options_that_bears_its_name() -> None:
    members = get_args(get_args(HeadConfig)[0])
    assert tuple(task.options for task in TASKS.values()) == members
    for name, task in TASKS.items():
        assert get_args(task.options.model_fields["task"].annotation) == (name,)


@pytest.mark.parametrize("section", HEAD_SECTIONS.values(), ids=HEAD_SECTIONS)
def test_every_option_says_what_is_expected_with_an_example_that_is_accepted(section: type[Any]) -> None:
    needed: dict[str, Any] = {
        "task": get_args(section.model_fields["task"].annotation)[0],
        **({"labels": ["a"]} if section is ZeroShotHead else {}),
        **({"temperature": 1.0} if "temperature" in section.model_fields else {}),
    }
    for name, field in section.model_fields.items():
        if name == "task":
            continue
        assert field.description
        options = {**needed, name: (field.examples or [])[0]}
        if name == "labels_column":
            del options["labels"]
        if name == "num_beams":
            del options["temperature"]
        head = section(**options)
        found = getattr(head, name)
        assert (list(found) if isinstance(found, tuple) else found) == options[name]


def test_columns_and_their_shapes() -> None:
    pair = TextClassificationHead(task="text-classification", text="a", text_pair="b.c")
    assert pair.input_columns == (InputColumn("a", "text", "text"), InputColumn("b.c", "text", "text_pair"))
    assert pair.text_columns == ("a", "b.c")
    words = TokenClassificationHead(task="token-classification", words="tokens")
    assert words.input_columns == (InputColumn("tokens", "list of text", "words"),)
    answers = QuestionAnsweringHead(task="question-answering")
    assert answers.input_columns == (
        InputColumn("question", "text", "question"),
        InputColumn("context", "text", "context"),
    )
    listed = MultipleChoiceHead(task="multiple-choice")
    assert listed.input_columns == (
        InputColumn("prompt", "text", "prompt"),
        InputColumn("choices", "list of text", "choices"),
    )
    columns = MultipleChoiceHead.model_validate({"task": "multiple-choice", "choices": ["x", "y"]})
    assert columns.choices == ("x", "y")
    assert columns.input_columns[1:] == (InputColumn("x", "text", "choices"), InputColumn("y", "text", "choices"))
    zero = ZeroShotHead(task="zero-shot-classification", text="a", labels_column="labels")
    assert zero.input_columns == (
        InputColumn("a", "text", "text"),
        InputColumn("labels", "list of text", "labels_column"),
    )


def test_defaults() -> None:
    answers = QuestionAnsweringHead(task="question-answering")
    assert (answers.max_answer_tokens, answers.window, answers.stride, answers.truncate) == (30, None, None, False)
    assert TokenClassificationHead(task="token-classification", text="a").aggregation == "simple"
    zero = ZeroShotHead(task="zero-shot-classification", labels=("a",))
    assert (zero.hypothesis_template, zero.multi_label) == ("This example is {}.", False)
    vector = EmbeddingHead(task="embedding")
    assert (vector.level, vector.dimensions, vector.dtype) == ("sentence", None, "float32")


def test_words_and_text_exclude_each_other() -> None:
    message = refused(TokenClassificationHead, task="token-classification", text="body", words="wörter")
    assert 'words: found "wörter" and text = "body", expected one of the two' in message


def test_labels_come_from_one_place() -> None:
    task = "zero-shot-classification"
    assert "labels: is missing" in refused(ZeroShotHead, task=task)
    both = refused(ZeroShotHead, task=task, labels=("a",), labels_column="b")
    assert 'labels_column: found "b" and labels' in both


@pytest.mark.parametrize(
    ("options", "hidden_size", "expected"),
    [({}, 32, 32), ({"dimensions": 8}, 32, 8), ({"dimensions": 32}, 32, 32), ({"dtype": "ubinary"}, 32, 32)],
)
def test_dimensions_of_vectors(options: dict[str, Any], hidden_size: int, expected: int) -> None:
    assert EmbeddingHead(task="embedding", **options).num_dimensions(hidden_size) == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"dimensions": 31}, "dimensions: found 31, expected at most the model's hidden_size, 30"),
        ({"dtype": "ubinary"}, 'dtype: found "ubinary", expected a multiple of 8 dimensions'),
    ],
)
def test_dimensions_that_do_not_fit_the_model(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        EmbeddingHead(task="embedding", **options).num_dimensions(30)


def test_options_of_vectors_that_do_not_go_together() -> None:
    assert "a multiple of 8" in refused(EmbeddingHead, task="embedding", dtype="ubinary", dimensions=12)
    assert "pooling: found" in refused(EmbeddingHead, task="embedding", level="token", pooling="mean")
    EmbeddingHead(task="embedding", level="token", dtype="ubinary", dimensions=16)
    assert 'dtype: found "int8"' in refused(EmbeddingHead, task="embedding", dtype="int8", normalize=False)
    EmbeddingHead(task="embedding", dtype="int8")
