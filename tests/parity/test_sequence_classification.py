"""XLMRobertaXLForSequenceClassification against the oracle: losses by problem type, gradients, packed."""

from typing import Any

import pytest
import torch
from torch import Tensor

from model import XLMRobertaXLConfig, XLMRobertaXLForSequenceClassification
from tests.oracle import (
    assert_close,
    assert_same_gradients,
    assert_same_output,
    oracle_of,
    padded_batch,
    randomize,
)
from tests.packing import pack

TINY = {
    "vocab_size": 123,
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "intermediate_size": 70,
    "max_position_embeddings": 40,
}
LENGTHS = [9, 4, 17]
CLASS_IDS = torch.tensor([2, 0, 1])
VALUES = torch.tensor([0.5, -1.0, 3.0])
MULTI_LABELS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def classifier(**options: Any) -> XLMRobertaXLForSequenceClassification:
    model = XLMRobertaXLForSequenceClassification(XLMRobertaXLConfig(**TINY | options)).eval()
    randomize(model)
    return model


LOSSES = [
    pytest.param(3, None, CLASS_IDS, "single_label_classification", id="integers"),
    pytest.param(3, None, CLASS_IDS.int(), "single_label_classification", id="int32"),
    pytest.param(3, None, MULTI_LABELS, "multi_label_classification", id="floats"),
    pytest.param(1, None, VALUES, "regression", id="one label"),
    pytest.param(1, None, VALUES[:, None], "regression", id="one label, column"),
    pytest.param(3, "regression", MULTI_LABELS, "regression", id="regression of three values"),
    pytest.param(3, "single_label_classification", CLASS_IDS, "single_label_classification", id="set"),
    pytest.param(3, "single_label_classification", torch.tensor([2, -100, 1]), "single_label_classification",
                 id="ignored"),
    pytest.param(1, "multi_label_classification", MULTI_LABELS[:, :1], "multi_label_classification", id="binary"),
]  # fmt: skip


@pytest.mark.parametrize(("num_labels", "problem_type", "labels", "inferred"), LOSSES)
def test_loss_logits_and_gradients(
    num_labels: int, problem_type: str | None, labels: Tensor, inferred: str
) -> None:
    model = classifier(num_labels=num_labels, problem_type=problem_type)
    oracle = oracle_of(model)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    # The oracle cannot take int32 labels, which it says are class ids.
    their_labels = labels.long() if labels.dtype == torch.int32 else labels
    ours, theirs = model(input_ids, mask, labels=labels), oracle(input_ids, mask, labels=their_labels)
    assert_same_output(ours, theirs)
    assert model.config.problem_type == oracle.config.problem_type == inferred
    ours.loss.backward()
    theirs.loss.backward()
    assert_same_gradients(model, oracle)


@pytest.mark.parametrize("return_dict", [True, False])
@pytest.mark.parametrize("is_decoder", [True, False])
def test_outputs(return_dict: bool, is_decoder: bool) -> None:
    model = classifier(num_labels=4, is_decoder=is_decoder)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    arguments = {
        "input_ids": input_ids,
        "attention_mask": mask,
        "output_hidden_states": True,
        "output_attentions": True,
        "return_dict": return_dict,
    }
    assert_same_output(model(**arguments), oracle_of(model)(**arguments))


def test_packed_equals_padded() -> None:
    model = classifier(num_labels=3)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    packed = model.forward_packed(pack(input_ids, mask, pad_token_id=1))
    assert_close(packed, oracle_of(model)(input_ids, mask).logits)


def test_bf16_logits_are_fp32_and_near() -> None:
    model, half = classifier(num_labels=3), classifier(num_labels=3).to(torch.bfloat16)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    with torch.inference_mode():
        expected = model(input_ids, mask).logits
        padded = half(input_ids, mask).logits
        packed = half.forward_packed(pack(input_ids, mask, pad_token_id=1))
    assert padded.dtype == packed.dtype == torch.float32
    for found in (padded, packed):
        assert (found - expected).abs().max() < 0.1 * expected.std()
