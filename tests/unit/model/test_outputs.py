"""Outputs have the fields, the order and the access of Transformers' ModelOutput."""

import dataclasses

import pytest
import torch
import transformers.modeling_outputs as theirs

import model.outputs as ours

NAMES = [
    "BaseModelOutputWithPoolingAndCrossAttentions",
    "CausalLMOutputWithCrossAttentions",
    "MaskedLMOutput",
    "SequenceClassifierOutput",
    "TokenClassifierOutput",
    "MultipleChoiceModelOutput",
    "QuestionAnsweringModelOutput",
]


@pytest.mark.parametrize("name", NAMES)
def test_fields_and_their_order(name: str) -> None:
    our_fields = [f.name for f in dataclasses.fields(getattr(ours, name))]
    assert our_fields == [f.name for f in dataclasses.fields(getattr(theirs, name))]


def test_access() -> None:
    loss, logits = torch.tensor(1.0), torch.zeros(2, 3)
    output = ours.MaskedLMOutput(loss, logits)
    reference = theirs.MaskedLMOutput(loss, logits)
    assert output.loss is output["loss"] is output[0] is loss
    assert output.logits is output["logits"] is output[1] is output[-1] is logits
    assert output.hidden_states is None
    assert output[:2] == output.to_tuple() == reference.to_tuple()
    assert list(output) == list(reference) == ["loss", "logits"]
    assert output.keys() == list(reference.keys())
    assert output.items() == list(reference.items())
    assert len(output) == len(reference) == 2
    assert "loss" in output
    assert "attentions" not in output
    assert dict(output) == dict(reference)


def test_absent_fields_are_skipped() -> None:
    logits, states = torch.zeros(2, 3), (torch.ones(1),)
    output = ours.SequenceClassifierOutput(logits=logits, hidden_states=states)
    assert output[0] is logits
    assert output[1] is states
    with pytest.raises(KeyError):
        output["loss"]
    with pytest.raises(IndexError):
        output[2]
