"""`from_pretrained` and what all classes share: overrides, arguments, the modes and names of a model."""

from pathlib import Path
from typing import Any

import pytest
import torch

import model
from model import (
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForQuestionAnswering,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from tests.checkpoints import write_random_checkpoint
from tests.random_cases import CLASSES

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20,
)  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path, CONFIG, std=0.1)


def test_overrides_change_the_configuration(directory: Path) -> None:
    loaded = XLMRobertaXLForQuestionAnswering.from_pretrained(
        str(directory), is_decoder=True, hidden_dropout_prob=0.5, position_embedding_type="absolute"
    )
    assert loaded.config.is_decoder
    assert loaded.config.hidden_dropout_prob == 0.5
    assert not XLMRobertaXLConfig.from_pretrained(directory).is_decoder


def test_labels_of_a_new_head(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    write_random_checkpoint(directory, CONFIG, heads=frozenset())
    loaded = XLMRobertaXLForSequenceClassification.from_pretrained(
        directory, num_labels=5, problem_type="multi_label_classification"
    )
    assert loaded.classifier.out_proj.weight.shape == (5, 16)
    assert loaded.config.id2label[4] == "LABEL_4"
    assert loaded.config.problem_type == "multi_label_classification"
    names = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    assert (
        XLMRobertaXLForSequenceClassification.from_pretrained(directory, **names).config.label2id
        == names["label2id"]
    )


def test_a_configuration_of_ones_own_is_taken_and_left_alone(directory: Path) -> None:
    own = CONFIG.copy(is_decoder=True)
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(directory, config=own, output_attentions=True)
    assert loaded.config.is_decoder
    assert loaded.config.output_attentions
    assert not own.output_attentions
    assert own.torch_dtype is None


def test_unknown_options_are_refused(directory: Path) -> None:
    with pytest.raises(TypeError, match=r"XLMRobertaXLModel\.__init__\(\) got an unexpected .* 'num_label'"):
        XLMRobertaXLModel.from_pretrained(directory, num_label=3)


@pytest.mark.parametrize("argument", [{"dtype": "bfloat16"}, {"torch_dtype": torch.bfloat16}])
def test_both_names_of_the_dtype(directory: Path, argument: dict[str, Any]) -> None:
    assert XLMRobertaXLModel.from_pretrained(directory, **argument).dtype == torch.bfloat16


@pytest.mark.parametrize("class_name", CLASSES)
def test_what_every_class_has(directory: Path, class_name: str) -> None:
    cls = getattr(model, class_name)
    loaded = cls.from_pretrained(directory)
    assert not loaded.training
    assert cls(CONFIG).training
    assert isinstance(loaded.base_model, XLMRobertaXLModel)
    assert loaded.get_input_embeddings() is loaded.base_model.embeddings.word_embeddings
    assert loaded.device == torch.device("cpu")
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.to(torch.float64).dtype == torch.float64


def test_a_model_refuses_a_configuration_that_was_changed_for_the_worse() -> None:
    config = CONFIG.copy()
    config.hidden_size = 17
    with pytest.raises(ValueError, match=r"hidden_size \(17\) must be a multiple"):
        XLMRobertaXLModel(config)


def test_pickles_are_not_written(directory: Path, tmp_path: Path) -> None:
    loaded = XLMRobertaXLModel.from_pretrained(directory)
    with pytest.raises(ValueError, match="safe_serialization must be True"):
        loaded.save_pretrained(tmp_path / "out", safe_serialization=False)
    loaded.save_pretrained(tmp_path / "out", safe_serialization=True)
    assert (tmp_path / "out" / "model.safetensors").is_file()
