"""Outputs have the fields, the order and the access of Transformers' ModelOutput."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers.modeling_outputs as theirs
from torch import Tensor
from torch.utils import _pytree as pytree

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
    assert list(output.keys()) == list(reference.keys())
    assert list(output.items()) == list(reference.items())
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


LOGITS, STATES = torch.zeros(2, 3), (torch.ones(1), torch.ones(2))
MODULES = pytest.mark.parametrize("module", [ours, theirs], ids=["ours", "theirs"])


def an_output(module: Any) -> Any:
    return module.MaskedLMOutput(logits=LOGITS, hidden_states=STATES)


@MODULES
def test_an_output_is_a_dictionary(module: Any) -> None:
    output = an_output(module)
    assert isinstance(output, dict)
    assert output.get("logits") is LOGITS
    assert output.get("attentions") is None
    assert output.get("attentions", 7) == 7
    assert {**output} == {"logits": LOGITS, "hidden_states": STATES}
    assert output.keys() & {"logits", "loss"} == {"logits"}
    assert [*reversed(output)] == ["hidden_states", "logits"]


@MODULES
def test_items_and_attributes_are_set_in_step(module: Any) -> None:
    output, loss = an_output(module), torch.tensor(2.0)
    output["loss"] = loss
    assert output.loss is loss
    assert list(output) == ["logits", "hidden_states", "loss"]
    output.logits = loss
    assert output["logits"] is output[0] is loss
    output["extra"] = STATES
    assert output.extra is STATES
    assert output.to_tuple() == (loss, STATES, loss, STATES)


def test_none_is_no_item() -> None:
    """Here theirs get out of step."""
    output = an_output(ours)
    output.loss = torch.tensor(1.0)
    assert output["loss"] is output.loss
    output.logits = None
    output["hidden_states"] = None
    assert list(output) == ["loss"]
    assert output.logits is output.hidden_states is None
    del output.loss
    assert not output
    assert output.loss is None
    assert output.to_tuple() == ()


REFUSED: list[Callable[[Any], object]] = [
    lambda output: output.__delitem__("logits"),
    lambda output: output.pop("logits"),
    lambda output: output.setdefault("loss", 1),
    lambda output: output.update(loss=1),
]


def merge(output: Any) -> None:
    output |= {"loss": 1}


OURS: list[Callable[[Any], object]] = [lambda output: output.clear(), lambda output: output.popitem(), merge]


@pytest.mark.parametrize("change", [*REFUSED, *OURS])
def test_what_is_refused(change: Callable[[Any], object]) -> None:
    output = an_output(ours)
    with pytest.raises(TypeError, match=r"^items of a MaskedLMOutput cannot be removed or set together"):
        change(output)
    assert list(output) == ["logits", "hidden_states"]
    if change in REFUSED:
        with pytest.raises(Exception, match="You cannot use"):
            change(an_output(theirs))


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickled": lambda output: pickle.loads(pickle.dumps(output)),
    "copied": copy.copy,
    "deep": copy.deepcopy,
    "by method": lambda output: output.copy(),
    "of a dictionary": lambda output: type(output)(dict(output)),
    "of pairs": lambda output: type(output)((name, value) for name, value in output.items()),
    "of a list of pairs": lambda output: type(output)(list(output.items())),
    "of its items": lambda output: type(output)(output.items()),
    "mapped": lambda output: pytree.tree_map(lambda leaf: leaf, output),
}


@pytest.mark.parametrize("way", COPIES)
def test_copies(way: str) -> None:
    output = an_output(ours)
    output["extra"] = LOGITS
    found = COPIES[way](output)
    assert type(found) is ours.MaskedLMOutput
    assert found is not output
    assert list(found) == ["logits", "hidden_states", "extra"]
    for name, value in found.items():
        torch.testing.assert_close(value, output[name])
        assert getattr(found, name) is value
    assert found.loss is None


@MODULES
@pytest.mark.parametrize("name", NAMES)
def test_torch_sees_the_tensors_within(name: str, module: Any) -> None:
    cls = getattr(module, name)
    first, second, third = (f.name for f in dataclasses.fields(cls)[:3])
    output = cls(**{second: LOGITS, third: STATES})
    leaves, spec = pytree.tree_flatten(output)
    assert leaves == [LOGITS, *STATES]
    again = pytree.tree_unflatten([1, 2, 3], spec)
    assert type(again) is cls
    assert dict(again) == {second: 1, third: (2, 3)}
    assert getattr(again, first) is None
    assert again[0] == getattr(again, second) == 1


def test_leaves_have_names() -> None:
    paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(an_output(ours))[0]]
    assert paths == ["['logits']", "['hidden_states'][0]", "['hidden_states'][1]"]


def test_leaves_that_are_pairs_or_none_keep_their_places() -> None:
    output = ours.QuestionAnsweringModelOutput(loss=LOGITS)
    pairs: Any = pytree.tree_map(lambda leaf: {"shape": tuple(leaf.shape)}, output)
    assert pairs.loss == {"shape": (2, 3)}
    assert not pytree.tree_map(lambda leaf: None, output)


def test_outputs_are_gathered_from_devices() -> None:
    """What `torch.nn.parallel.gather` does with each output that is a dictionary."""
    parts = [an_output(ours), an_output(ours)]
    gathered = type(parts[0])((name, torch.cat([part[name] for part in parts])) for name in ("logits",))
    assert isinstance(gathered.logits, Tensor)
    assert gathered.logits.shape == (4, 3)


def test_equality_is_that_of_fields() -> None:
    # Of one value each: from Python 3.13 on, dataclasses compare their fields one by one, and not as tuples.
    logits = torch.zeros(1)
    output = ours.MaskedLMOutput(logits=logits)
    assert output == ours.MaskedLMOutput(logits=logits)
    assert output != ours.MaskedLMOutput(logits=torch.ones(1))
    assert output != ours.MaskedLMOutput(loss=logits)
    assert output != ours.TokenClassifierOutput(logits=logits)
