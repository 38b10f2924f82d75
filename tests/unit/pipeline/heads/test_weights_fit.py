"""All tensors of trunks and heads against the headers of their files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model import CheckpointError
from model.checkpoints.reader import Checkpoint
from pipeline.heads.weights_fit import refuse_unfit_head, refuse_unfit_trunk
from tests.unit.pipeline.compute_fixtures import make_head, tiny_checkpoint, tiny_config


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path)


def set_config(directory: Path, **changes: Any) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def save(directory: Path, tensors: dict[str, Tensor], layout: str) -> None:
    """As one file of safetensors, several, or a pickle."""
    (directory / "model.safetensors").unlink()
    names = list(tensors)
    match layout:
        case "one file":
            save_file(tensors, directory / "model.safetensors")
        case "pickle":
            torch.save(tensors, directory / "pytorch_model.bin")
        case "several files":
            weight_map = {name: f"model-{i % 2 + 1:05}-of-00002.safetensors" for i, name in enumerate(names)}
            for file in set(weight_map.values()):
                save_file({n: tensors[n] for n in names if weight_map[n] == file}, directory / file)
            (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize("layout", ["one file", "several files", "pickle"])
def test_shapes_and_dtypes_are_checked_in_every_layout(layout: str, directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    save(directory, tensors, layout)
    refuse_unfit_trunk(str(directory), Checkpoint(directory))
    set_config(directory, intermediate_size=65)
    with pytest.raises(CheckpointError, match="intermediate_size is 65 in the configuration and 64 in"):
        refuse_unfit_trunk(str(directory), Checkpoint(directory))


@pytest.mark.parametrize("layout", ["one file", "pickle"])
@pytest.mark.parametrize(
    ("dtype", "fits"), [(torch.int8, False), (torch.float8_e4m3fn, False), (torch.float64, True)]
)
def test_quantized_weights_are_refused(layout: str, dtype: torch.dtype, fits: bool, directory: Path) -> None:
    """Without their scales they would give plausible wrong values."""
    name = "roberta.encoder.layer.0.attention.self.query.weight"
    tensors = load_file(directory / "model.safetensors")
    save(directory, tensors | {name: tensors[name].to(dtype)}, layout)
    if fits:
        refuse_unfit_trunk(str(directory), Checkpoint(directory))
    else:
        with pytest.raises(CheckpointError, match=r"self\.query\.weight is .*, expected float32, bfloat16 or"):
            refuse_unfit_trunk(str(directory), Checkpoint(directory))


def test_weights_of_four_bits_are_called_quantized_and_not_of_another_shape(directory: Path) -> None:
    name = "roberta.encoder.layer.0.attention.self.query.weight"
    tensors = load_file(directory / "model.safetensors")
    save(directory, tensors | {name: torch.zeros(512, 1, dtype=torch.uint8)}, "one file")
    with pytest.raises(CheckpointError, match=r"self\.query\.weight is U8, expected float32"):
        refuse_unfit_trunk(str(directory), Checkpoint(directory))


def test_a_config_that_does_not_say_how_many_heads_attention_has_is_refused(directory: Path) -> None:
    """32, the default, would divide the hidden size, and fit every tensor."""
    config = json.loads((directory / "config.json").read_text())
    del config["num_attention_heads"]
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json has no num_attention_heads"):
        refuse_unfit_trunk(str(directory), Checkpoint(directory))


def test_a_head_that_shares_embeddings_of_another_size_is_refused(directory: Path, tmp_path: Path) -> None:
    other = tiny_checkpoint(tmp_path / "other", vocab_size=640)
    for is_tied in (True, False):
        config = tiny_config(vocab_size=640, tie_word_embeddings=is_tied)
        head = make_head("loss", "masked-lm-loss", trunk=str(directory), config=config, weights=str(other))
        if is_tied:
            with pytest.raises(CheckpointError, match=r"vocab_size is 640 in config\.json, expected .*, 608"):
                refuse_unfit_head(head, Checkpoint(other))
        else:
            assert refuse_unfit_head(head, Checkpoint(other)) == ["lm_head.decoder.weight"]


def test_both_names_of_a_bias_are_checked(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    save(directory, tensors | {"lm_head.decoder.bias": torch.zeros(602)}, "one file")
    head = make_head("loss", "masked-lm-loss", trunk=str(directory))
    with pytest.raises(
        CheckpointError, match=r"lm_head\.decoder\.bias must be \[608\], found \[602\]: vocab_size"
    ):
        refuse_unfit_head(head, Checkpoint(directory))


def test_a_choice_has_one_score(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    labels = {"classifier.weight": torch.zeros(3, 32), "classifier.bias": torch.zeros(3)}
    save(directory, tensors | labels, "one file")
    head = make_head("choice", "multiple-choice", trunk=str(directory))
    with pytest.raises(CheckpointError, match=r"classifier\.weight must be \[1, 32\], found \[3, 32\]; correct"):
        refuse_unfit_head(head, Checkpoint(directory))
