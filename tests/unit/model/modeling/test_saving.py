"""Options of `save_pretrained`: the names of Transformers, state dicts, and what is not written."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

import model
from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLModel
from tests.oracle import randomize
from tests.random_cases import CLASSES

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20,
)  # fmt: skip


def random_model(class_name: str, seed: int) -> Any:
    built = getattr(model, class_name)(CONFIG)
    randomize(built, seed=seed)
    return built


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_state_dict_is_written_in_place_of_the_weights(class_name: str, tmp_path: Path) -> None:
    ours, other = random_model(class_name, 1), random_model(class_name, 2)
    ours.save_pretrained(save_directory=tmp_path / "own")
    ours.save_pretrained(tmp_path / "given", True, other.state_dict(), max_shard_size="1MB")
    written = load_file(tmp_path / "given" / "model.safetensors")
    assert written.keys() == load_file(tmp_path / "own" / "model.safetensors").keys()
    for module in (model, transformers):
        loaded = getattr(module, class_name).from_pretrained(tmp_path / "given")
        for name, tensor in other.named_parameters():
            assert torch.equal(loaded.get_parameter(name), tensor), name


def test_a_part_of_a_state_dict_is_written_as_it_is(tmp_path: Path) -> None:
    dtypes = (torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool)
    part = {f"of.ones.own.{dtype}": torch.tensor([1, 0, 1], dtype=dtype) for dtype in dtypes}
    part["lm_head.decoder.weight"] = torch.ones(60, 16)
    random_model("XLMRobertaXLForMaskedLM", 1).save_pretrained(tmp_path, state_dict=part)
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == part.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in part.items())


def test_tied_names_with_different_values_are_both_written(tmp_path: Path) -> None:
    masked_lm = random_model("XLMRobertaXLForMaskedLM", 1)
    state_dict = {**masked_lm.state_dict(), "lm_head.decoder.weight": torch.ones(60, 16)}
    masked_lm.save_pretrained(tmp_path, state_dict=state_dict)
    untied = XLMRobertaXLForMaskedLM.from_pretrained(tmp_path, tie_word_embeddings=False)
    assert torch.equal(untied.lm_head.decoder.weight, torch.ones(60, 16))
    assert torch.equal(untied.get_input_embeddings().weight, masked_lm.get_input_embeddings().weight)


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    random_model("XLMRobertaXLModel", 1).save_pretrained(tmp_path / "out", is_main_process=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", [{"push_to_hub": True}, {"variant": "fp16"}, {"safe_serialization": False}], ids=str
)
def test_what_is_not_written_is_refused(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        random_model("XLMRobertaXLModel", 1).save_pretrained(tmp_path / "out", **option)
    assert not (tmp_path / "out").exists()
    random_model("XLMRobertaXLModel", 1).save_pretrained(
        tmp_path / "out", save_function=torch.save, push_to_hub=False, variant=None, safe_serialization=True
    )
    assert XLMRobertaXLModel.from_pretrained(tmp_path / "out").config.vocab_size == 60
