from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.language_head_config import CausalLMLossHead, FillMaskHead, TextGenerationHead
from pipeline.tasks.sections import InputColumn


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


def test_the_other_heads_read_one_text() -> None:
    assert FillMaskHead(task="fill-mask", text="a").top_k == 5
    assert CausalLMLossHead(task="causal-lm-loss", text="a.b").input_columns == (
        InputColumn("a.b", "text", "text"),
    )
    with pytest.raises(ValidationError):
        FillMaskHead(task="fill-mask", top_k=0)
