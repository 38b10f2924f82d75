"""Values that are given as text."""

from typing import Any

import pytest
import torch
import transformers

from model import XLMRobertaXLConfig
from model.configuration.parsing import as_dtype

TEXTS = ["hidden_size=96", "is_decoder=true,use_cache=no", "layer_norm_eps=1e-3,hidden_act=relu", "use_cache=0"]


@pytest.mark.parametrize("text", TEXTS)
def test_changes_are_those_of_transformers(text: str) -> None:
    ours, theirs = XLMRobertaXLConfig(), transformers.XLMRobertaXLConfig()
    ours.update_from_string(text)
    theirs.update_from_string(text)
    for name in (change.split("=")[0] for change in text.split(",")):
        assert getattr(ours, name) == getattr(theirs, name)
        assert type(getattr(ours, name)) is type(getattr(theirs, name))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("hidden=3", ValueError, "expected name=value with an attribute of the configuration, found 'hidden=3'"),
        ("hidden_size", ValueError, "expected name=value"),
        ("is_decoder=maybe", ValueError, "is_decoder must be true or false, found 'maybe'"),
        ("problem_type=regression", TypeError, "problem_type is a NoneType"),
        ("pruned_heads=1", TypeError, "pruned_heads is a dict"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        XLMRobertaXLConfig().update_from_string(text)


@pytest.mark.parametrize("name", ["bfloat16", "torch.bfloat16", torch.bfloat16])
def test_names_of_a_dtype(name: Any) -> None:
    assert as_dtype(name) == torch.bfloat16
    config = XLMRobertaXLConfig()
    config.torch_dtype = name
    assert config.dtype == torch.bfloat16
    assert config.to_dict()["torch_dtype"] == "bfloat16"
