"""Tracing, exporting and tuples in the place of outputs, as the oracle does it."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor

import model
from model import XLMRobertaXLConfig
from tests.oracle import assert_close, assert_same_output, oracle_of, padded_batch, randomize
from tests.random_cases import CLASSES

# torch warns of tracing as such, and of a check of its own on embeddings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Converting a tensor:torch.jit.TracerWarning:torch.nn.functional"),
]
CONFIG = XLMRobertaXLConfig(
    vocab_size=70, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=30,
    max_position_embeddings=20, num_labels=2,
)  # fmt: skip


def model_of(class_name: str, **changes: Any) -> Any:
    built = getattr(model, class_name)(CONFIG.copy(is_decoder=class_name.endswith("CausalLM"), **changes)).eval()
    randomize(built)
    return built


def inputs_of(class_name: str, lengths: list[int]) -> tuple[Tensor, ...]:
    """The first arguments in their order."""
    ids, mask = padded_batch(CONFIG, lengths)
    if class_name.endswith("MultipleChoice"):
        ids, mask = (x[:, None].repeat(1, 3, 1) for x in (ids, mask))
        return ids, torch.zeros_like(ids), mask
    return ids, mask


@pytest.mark.parametrize(
    ("option", "dtype"), [({"return_dict": False}, torch.bfloat16), ({"torchscript": True}, torch.float32)]
)
@pytest.mark.parametrize("class_name", CLASSES)
def test_a_trace_passes_its_check_and_takes_other_shapes(
    class_name: str, option: dict[str, bool], dtype: torch.dtype
) -> None:
    built = model_of(class_name, **option).to(dtype)
    traced = torch.jit.trace(built, inputs_of(class_name, [7, 4]))  # with its default check
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    others = inputs_of(class_name, [3, 11, 6])
    assert_close(torch.jit.load(file)(*others), built(*others), tolerance=1e-6)


@pytest.mark.parametrize("class_name", CLASSES)
def test_torchscript_gives_the_oracles_tuples(class_name: str) -> None:
    built, inputs = model_of(class_name, torchscript=True), inputs_of(class_name, [7, 4])
    theirs = oracle_of(built)
    assert theirs.config.torchscript
    assert isinstance(built(*inputs), tuple)
    for arguments in ({}, {"return_dict": True}, {"output_hidden_states": True}):
        assert_same_output(built(*inputs, **arguments), theirs(*inputs, **arguments))


@pytest.mark.parametrize("class_name", CLASSES[:2])
def test_a_model_is_exported_with_its_output(class_name: str) -> None:
    built, inputs = model_of(class_name, use_cache=False), inputs_of(class_name, [7, 4])
    output = torch.export.export(built, inputs).module()(*inputs)
    assert type(output) is type(built(*inputs))
    assert_same_output(output, built(*inputs), tolerance=1e-6)
