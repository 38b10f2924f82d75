"""Labels that are none: refused with the oracle's own error, by every class that takes labels and on every way."""

from typing import Any

import pytest
import torch
from torch import Tensor

import model
from model import XLMRobertaXLConfig
from model.tokenizer.special_tokens import IGNORE_INDEX
from tests.oracle import assert_same_output, oracle_of, padded_batch, randomize
from tests.packing import pack

CONFIG = XLMRobertaXLConfig(
    vocab_size=70, hidden_size=24, num_hidden_layers=1, num_attention_heads=4, intermediate_size=30,
    max_position_embeddings=40, num_labels=3,
)  # fmt: skip
LANGUAGE_MODELS = ("XLMRobertaXLForMaskedLM", "XLMRobertaXLForCausalLM")
IDS, MASK = padded_batch(CONFIG, [7, 4])


def model_of(class_name: str, **changes: Any) -> Any:
    built = getattr(model, class_name)(CONFIG.copy(is_decoder=class_name.endswith("CausalLM"), **changes)).eval()
    randomize(built)
    return built


def assert_same_error(built: Any, *arguments: Tensor, **labels: Tensor) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # whatever it is, ours is the same
        oracle_of(built)(*arguments, **labels)
    with pytest.raises(type(theirs.value)) as ours:
        built(*arguments, **labels)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("wrong", [70, 250_001, -1, -99, -101])
@pytest.mark.parametrize("class_name", LANGUAGE_MODELS)
def test_a_token_that_is_none(class_name: str, wrong: int) -> None:
    labels = IDS.clone()
    labels[0, 3] = wrong
    assert_same_error(model_of(class_name), IDS, MASK, labels=labels)


@pytest.mark.parametrize("labels", [IDS[:, :1], IDS[:1], IDS.repeat(2, 1), IDS.float()])
@pytest.mark.parametrize("class_name", LANGUAGE_MODELS)
def test_another_number_or_type_of_labels(class_name: str, labels: Tensor) -> None:
    assert_same_error(model_of(class_name), IDS, MASK, labels=labels)


def test_the_first_label_of_a_causal_model_is_not_looked_at() -> None:
    built, labels = model_of("XLMRobertaXLForCausalLM"), IDS.clone()
    labels[:, 0] = 70
    assert_same_output(built(IDS, MASK, labels=labels), oracle_of(built)(IDS, MASK, labels=labels))


@pytest.mark.parametrize("wrong", [70, -1])
def test_packed_losses(wrong: int) -> None:
    built, batch = model_of("XLMRobertaXLForMaskedLM"), pack(IDS, MASK, pad_token_id=1)
    labels = batch.input_ids.clone()
    labels[2] = wrong
    hidden = built.roberta.forward_packed(batch)
    for loss in (lambda: built.forward_packed(batch, labels), lambda: built.lm_head.nll(hidden, labels)):
        with pytest.raises(IndexError, match=rf"^Target {wrong} is out of bounds\.$"):
            loss()


def test_packed_losses_want_a_label_for_each_token() -> None:
    built, batch = model_of("XLMRobertaXLForMaskedLM"), pack(IDS, MASK, pad_token_id=1)
    with pytest.raises(ValueError, match=r"^labels must be \[11\], found \[10\]$"):
        built.forward_packed(batch, batch.input_ids[:-1])
    with pytest.raises(ValueError, match=r"Expected input batch_size \(11\) to match target batch_size \(10\)"):
        built.lm_head.nll(built.roberta.forward_packed(batch), batch.input_ids[:-1])


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_class_that_is_none(wrong: int) -> None:
    problem = {"problem_type": "single_label_classification"}
    assert_same_error(
        model_of("XLMRobertaXLForSequenceClassification", **problem), IDS, MASK, labels=torch.tensor([0, wrong])
    )
    tokens = (IDS % 3).index_fill(1, torch.tensor(1), wrong)
    assert_same_error(model_of("XLMRobertaXLForTokenClassification"), IDS, MASK, labels=tokens)
    choices = IDS[:, None].repeat(1, 3, 1)
    assert_same_error(model_of("XLMRobertaXLForMultipleChoice"), choices, labels=torch.tensor([0, wrong]))


def test_a_class_that_is_none_behind_the_mask_is_not_looked_at() -> None:
    built, labels = model_of("XLMRobertaXLForTokenClassification"), IDS % 3
    labels[1, -1] = 99
    assert_same_output(built(IDS, MASK, labels=labels), oracle_of(built)(IDS, MASK, labels=labels))


@pytest.mark.parametrize("positions", [(-5, 6), (7, 0), (250_000, -1)])
def test_answers_outside_the_sequence_are_clamped(positions: tuple[int, int]) -> None:
    built = model_of("XLMRobertaXLForQuestionAnswering", num_labels=2)
    labels = {"start_positions": torch.tensor(positions), "end_positions": torch.tensor(positions[::-1])}
    assert_same_output(built(IDS, MASK, **labels), oracle_of(built)(IDS, MASK, **labels))


def test_ignored_labels_stay_ignored() -> None:
    labels = IDS.masked_fill(MASK == 0, IGNORE_INDEX)
    for class_name in LANGUAGE_MODELS:
        built = model_of(class_name)
        assert_same_output(built(IDS, MASK, labels=labels), oracle_of(built)(IDS, MASK, labels=labels))
