from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.tasks.sections import InputColumn
from pipeline.tasks.text_generation import TextGenerationHead, generation_column
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece


def generation(**options: Any) -> TextGenerationHead:
    return TextGenerationHead.model_validate({"task": "text-generation", "text": "prompt", **options})


def test_generation_is_greedy_unless_asked_to_draw() -> None:
    head = generation()
    assert (head.max_new_tokens, head.temperature, head.num_beams, head.seed) == (64, 0.0, 1, 0)
    assert (head.top_k, head.top_p) == (None, None)
    assert head.input_columns == (InputColumn("prompt", "text", "text"),)
    assert generation(temperature=1, top_k=5, top_p=0.5, seed=3).temperature == 1
    assert generation(num_beams=4).num_beams == 4


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"top_k": 5, "top_p": 0.9}, ["top_k: found 5, expected none", "top_p: found 0.9, expected none"]),
        ({"temperature": 0.5, "num_beams": 2}, ["num_beams: found 2, expected 1"]),
    ],
)
def test_draws_and_searches_are_not_mixed(options: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        generation(**options)
    assert all(problem in str(caught.value) for problem in problems)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -0.1},
        {"temperature": float("inf")},
        {"temperature": float("nan")},
        {"temperature": 1, "top_p": 0},
        {"temperature": 1, "top_p": 1.1},
        {"temperature": 1, "top_k": 0},
        {"max_new_tokens": 0},
        {"num_beams": 0},
        {"seed": -1},
        {"truncate": True},
    ],
)
def test_values_out_of_bounds(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        generation(**options)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")))


def test_generated_text_ends_where_its_tokens_do(tokenizer: XLMRobertaXLTokenizer) -> None:
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in SENTENCES[:3]]
    width = max(map(len, ids)) + 2
    padded = np.array([[*row, 2, *[1] * (width - len(row) - 1)] for row in ids])
    counts = np.array([len(ids[0]), len(ids[1]), 0])
    column = generation_column(padded, counts, tokenizer)
    assert column.to_pylist() == [
        {"text": tokenizer.decode(row[:count]), "num_tokens": count}
        for row, count in zip(ids, counts.tolist(), strict=True)
    ]
    assert column[2].as_py()["text"] == ""


def test_special_tokens_among_the_generated_count_and_do_not_show(tokenizer: XLMRobertaXLTokenizer) -> None:
    word = tokenizer.encode(SENTENCES[0], add_special_tokens=False)[:3]
    ids = np.array([[word[0], 0, tokenizer.mask_token_id, *word[1:]]])
    [value] = generation_column(ids, np.array([6]), tokenizer).to_pylist()
    assert value == {"text": tokenizer.decode(word), "num_tokens": 6}
