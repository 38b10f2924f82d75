"""Shapes in a checkpoint against its config.json: every option that gives a size is named when it is wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model import (
    CheckpointError,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
)
from model.checkpoints.parameters import shapes_of
from model.checkpoints.reader import Checkpoint
from model.modeling.checkpoint_fit import refuse_misfit, refuse_other_layers
from tests.checkpoints import write_random_checkpoint

SIZES: dict[str, Any] = {
    "vocab_size": 60, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40,
    "max_position_embeddings": 34, "num_labels": 3,
}  # fmt: skip


def config_of(**changes: Any) -> XLMRobertaXLConfig:
    return XLMRobertaXLConfig(**SIZES | changes)


def check(directory: Path, config: XLMRobertaXLConfig) -> None:
    checkpoint = Checkpoint(directory)
    refuse_other_layers(config, checkpoint.names)
    with torch.device("meta"):
        models = XLMRobertaXLForMaskedLM(config), XLMRobertaXLForSequenceClassification(config)
    for model in models:
        refuse_misfit(config, shapes_of(model), checkpoint)


def refusal(directory: Path, config: XLMRobertaXLConfig) -> str:
    with pytest.raises(CheckpointError) as caught:
        check(directory, config)
    return str(caught.value)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path, config_of())


@pytest.mark.parametrize("option", ["vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings"])
@pytest.mark.parametrize("factor", [0.5, 2])
def test_another_size_is_refused_by_its_name(option: str, factor: float, directory: Path) -> None:
    size = int(SIZES[option] * factor)
    found = refusal(directory, config_of(**{option: size}))
    assert (
        f"{option} is {size} in the configuration and {SIZES[option]} in the weights; correct config.json" in found
    )
    # No other option is blamed.
    assert found.count(" in the weights") == 1


@pytest.mark.parametrize(("option", "stored"), [("type_vocab_size", 1), ("num_labels", 3)])
def test_other_numbers_of_rows_are_refused(option: str, stored: int, directory: Path) -> None:
    found = refusal(directory, config_of(**{option: 7}))
    assert f"{option} is 7 in the configuration and {stored} in the weights" in found


def test_all_wrong_options_are_named_at_once(directory: Path) -> None:
    found = refusal(directory, config_of(vocab_size=61, intermediate_size=41))
    assert "tensor roberta.embeddings.word_embeddings.weight must be [61, 24], found [60, 24]: " in found
    assert "vocab_size is 61 in the configuration and 60 in the weights; intermediate_size is 41 in" in found


@pytest.mark.parametrize(("num_layers", "stored"), [(1, 2), (3, 2)])
def test_another_number_of_layers_is_refused(num_layers: int, stored: int, directory: Path) -> None:
    found = refusal(directory, config_of(num_hidden_layers=num_layers))
    assert found.startswith(
        f"num_hidden_layers is {num_layers} in the configuration and {stored} in the weights; correct"
    )


def test_pruned_heads_are_those_of_the_weights(directory: Path, tmp_path: Path) -> None:
    pruned = config_of(pruned_heads={1: [0, 3]})
    found = refusal(directory, pruned)
    assert "layer.1.attention.self.query.weight must be [12, 24], found [24, 24]: pruned_heads in the" in found
    assert "leaves 2 heads in a layer, the weights hold 4" in found
    other = write_random_checkpoint(tmp_path / "pruned", pruned)
    check(other, pruned)
    assert "leaves 4 heads in a layer, the weights hold 2" in refusal(other, config_of())


def test_the_reason_is_that_of_the_tensor_that_is_named(tmp_path: Path) -> None:
    directory = write_random_checkpoint(tmp_path, config_of(pruned_heads={0: [1], 1: [0, 3]}))
    found = refusal(directory, config_of())
    assert "layer.0.attention.self.query.weight must be [24, 24], found [18, 24]: " in found
    assert "leaves 4 heads in a layer, the weights hold 3" in found


def test_relative_positions_that_would_not_be_read_are_refused(tmp_path: Path) -> None:
    directory = write_random_checkpoint(tmp_path, config_of(position_embedding_type="relative_key"))
    check(directory, config_of(position_embedding_type="relative_key"))
    found = refusal(directory, config_of())
    assert found.startswith(
        "position_embedding_type is 'absolute' in the configuration, and the weights hold roberta."
    )


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("heads", [frozenset[str](), frozenset({"lm_head", "classifier", "pooler"})], ids=len)
def test_what_fits_passes(is_tied: bool, heads: frozenset[str], tmp_path: Path) -> None:
    config = config_of(tie_word_embeddings=is_tied, is_decoder=True, add_cross_attention=True, type_vocab_size=2)
    check(write_random_checkpoint(tmp_path, config, heads=heads), config)
