"""Reading checkpoints: names and their variants, full coverage, and everything that is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from model import (
    CheckpointError,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from model.checkpoints.reader import Checkpoint
from tests.checkpoints import write_random_checkpoint

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20, num_labels=3,
)  # fmt: skip
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

Tensors = dict[str, Tensor]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path, CONFIG, heads=frozenset({"lm_head", "classifier", "pooler"}), std=0.1)


def rewrite(directory: Path, change: Callable[[Tensors], Tensors | None]) -> None:
    """Change the stored tensors in place or by another dictionary."""
    tensors = load_file(directory / SINGLE)
    tensors = change(tensors) or tensors
    # Transformers refuses files without this mark.
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, directory / SINGLE, {"format": "pt"})


def shard_files(directory: Path) -> dict[str, str]:
    """Split the single file in three; returns the weight map."""
    tensors = load_file(directory / SINGLE)
    (directory / SINGLE).unlink()
    weight_map = {name: f"model-{i % 3 + 1:05}-of-00003.safetensors" for i, name in enumerate(tensors)}
    for file in set(weight_map.values()):
        save_file({name: tensors[name] for name in tensors if weight_map[name] == file}, directory / file)
    write_index(directory, weight_map)
    return weight_map


def write_index(directory: Path, weight_map: Any) -> None:
    (directory / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


def states(model: Any) -> dict[str, Tensor]:
    return dict(model.state_dict())


def assert_same_model(one: Any, other: Any) -> None:
    for name, tensor in states(one).items():
        assert torch.equal(tensor, states(other)[name]), name


def test_every_stored_value_arrives(directory: Path) -> None:
    stored = load_file(directory / SINGLE)
    model = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    loaded = states(model)
    assert not model.training
    expected = {name for name in stored if not name.startswith(("classifier", "roberta.pooler"))}
    assert expected == set(loaded) - {"lm_head.decoder.weight", "lm_head.decoder.bias"}
    for name in expected:
        assert torch.equal(loaded[name], stored[name]), name
    assert torch.equal(loaded["lm_head.decoder.weight"], stored["roberta.embeddings.word_embeddings.weight"])
    assert torch.equal(loaded["lm_head.decoder.bias"], stored["lm_head.bias"])
    assert stored["lm_head.bias"].any()


def test_a_sharded_index_reads_the_same(directory: Path) -> None:
    whole = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    shard_files(directory)
    sharded = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    assert_same_model(sharded, whole)
    assert len(Checkpoint(directory).files) == 3


def _bias_under_the_decoder(tensors: Tensors) -> None:
    tensors["lm_head.decoder.bias"] = tensors.pop("lm_head.bias")


def _bias_twice(tensors: Tensors) -> None:
    tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"]


def _tied_weight_stored(tensors: Tensors) -> None:
    tensors["lm_head.decoder.weight"] = tensors["roberta.embeddings.word_embeddings.weight"]


def _position_ids_stored(tensors: Tensors) -> None:
    tensors["roberta.embeddings.position_ids"] = torch.arange(20)[None]
    tensors["roberta.embeddings.token_type_ids"] = torch.zeros(1, 20, dtype=torch.long)


@pytest.mark.parametrize(
    "change", [_bias_under_the_decoder, _bias_twice, _tied_weight_stored, _position_ids_stored]
)
def test_variants_of_names_read_the_same(directory: Path, change: Callable[[Tensors], None]) -> None:
    whole = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    rewrite(directory, change)
    model = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    assert_same_model(model, whole)
    assert not model.load_report.new
    assert all(name.startswith(("classifier", "roberta.pooler")) for name in model.load_report.unused)


def test_an_untied_projection_is_read(directory: Path) -> None:
    weight = torch.randn(60, 16)
    rewrite(directory, lambda tensors: tensors | {"lm_head.decoder.weight": weight})
    model = XLMRobertaXLForMaskedLM.from_pretrained(directory, tie_word_embeddings=False)
    assert torch.equal(model.lm_head.decoder.weight, weight)
    assert not torch.equal(model.get_input_embeddings().weight, weight)


def test_the_trunk_reads_a_task_model_and_the_reverse(directory: Path) -> None:
    whole = XLMRobertaXLModel.from_pretrained(directory)
    assert whole.load_report.new == []
    rewrite(
        directory,
        lambda tensors: {n.removeprefix("roberta."): t for n, t in tensors.items() if n.startswith("roberta.")},
    )
    bare = XLMRobertaXLModel.from_pretrained(directory)
    assert_same_model(bare, whole)
    assert not bare.load_report.unused
    task = XLMRobertaXLForSequenceClassification.from_pretrained(directory)
    assert_same_model(task.roberta, XLMRobertaXLModel.from_pretrained(directory, add_pooling_layer=False))
    assert task.load_report.new == [
        "classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight",
        "classifier.out_proj.bias",
    ]  # fmt: skip


def test_new_heads_and_unused_tensors_are_named(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    rewrite(directory, lambda tensors: {n: t for n, t in tensors.items() if "pooler" not in n})
    model = XLMRobertaXLModel.from_pretrained(directory)
    assert model.load_report.new == ["pooler.dense.weight", "pooler.dense.bias"]
    assert "classifier.dense.weight" in model.load_report.unused
    assert "newly initialised: pooler.dense.weight, pooler.dense.bias" in caplog.text
    assert "not used by XLMRobertaXLModel: classifier.dense.bias" in caplog.text
    without = XLMRobertaXLModel.from_pretrained(directory, add_pooling_layer=False)
    assert without.pooler is None
    assert not without.load_report.new


def test_dtypes(directory: Path) -> None:
    stored = load_file(directory / SINGLE)
    assert XLMRobertaXLModel.from_pretrained(directory).dtype == torch.float32
    half = XLMRobertaXLModel.from_pretrained(directory, dtype="bfloat16")
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert half.config.dtype == torch.bfloat16
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(states(half)[name], stored[f"roberta.{name}"].bfloat16())
    CONFIG.copy(torch_dtype="float16").save_pretrained(directory)
    assert XLMRobertaXLModel.from_pretrained(directory).dtype == torch.float16
    assert XLMRobertaXLModel.from_pretrained(directory, dtype="auto").dtype == torch.float16
    assert XLMRobertaXLModel.from_pretrained(directory, dtype=torch.float32).dtype == torch.float32


def test_a_model_does_not_depend_on_the_file_once_it_is_loaded(directory: Path) -> None:
    model = XLMRobertaXLModel.from_pretrained(directory)
    before = {name: tensor.clone() for name, tensor in states(model).items()}
    size = (directory / SINGLE).stat().st_size
    with (directory / SINGLE).open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size - size // 2))
    for name, tensor in states(model).items():
        assert torch.equal(tensor, before[name]), name


def test_missing_tensors_of_the_trunk_are_refused(directory: Path) -> None:
    rewrite(directory, lambda tensors: {n: t for n, t in tensors.items() if "layer.1.attention" not in n})
    with pytest.raises(CheckpointError, match=r"10 tensors of the trunk are missing: .*and 5 more"):
        XLMRobertaXLForMaskedLM.from_pretrained(directory)


def test_a_wrong_shape_is_refused(directory: Path) -> None:
    name = "roberta.encoder.layer.0.output.dense.weight"
    rewrite(directory, lambda tensors: tensors | {name: torch.zeros(16, 25)})
    with pytest.raises(CheckpointError, match=rf"tensor {name} must be \[16, 24\], found \[16, 25\]"):
        XLMRobertaXLModel.from_pretrained(directory)


def test_a_tied_tensor_of_another_shape_is_refused(directory: Path) -> None:
    rewrite(directory, lambda tensors: {**tensors, "lm_head.decoder.weight": torch.zeros(59, 16)})
    with pytest.raises(
        CheckpointError, match=r"tensor lm_head\.decoder\.weight must be \[60, 16\], found \[59, 16\]"
    ):
        XLMRobertaXLForMaskedLM.from_pretrained(directory)


def test_of_two_biases_that_of_the_projection_is_read_as_in_transformers(directory: Path) -> None:
    biases = {"lm_head.bias": torch.full((60,), 3.0), "lm_head.decoder.bias": torch.full((60,), 5.0)}
    rewrite(directory, lambda tensors: {**tensors, **biases})
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    theirs = transformers.XLMRobertaXLForMaskedLM.from_pretrained(directory)
    ids = torch.tensor([[0, 5, 2]])
    assert loaded.lm_head.bias.eq(5).all()
    torch.testing.assert_close(loaded(ids).logits, theirs.eval()(ids).logits)


def test_a_head_of_another_size_is_refused(directory: Path) -> None:
    with pytest.raises(CheckpointError, match=r"classifier\.out_proj\.weight must be \[7, 16\], found \[3, 16\]"):
        XLMRobertaXLForSequenceClassification.from_pretrained(directory, num_labels=7)


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(directory: Path, fraction: float) -> None:
    data = (directory / SINGLE).read_bytes()
    (directory / SINGLE).write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not a readable safetensors file"):
        XLMRobertaXLModel.from_pretrained(directory)


def test_no_weights_are_refused(directory: Path) -> None:
    (directory / SINGLE).unlink()
    with pytest.raises(CheckpointError, match=r"expected model\.safetensors"):
        Checkpoint(directory)


@pytest.mark.parametrize("path", ["../model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", ""])
def test_an_index_that_names_other_directories_is_refused(directory: Path, path: str) -> None:
    weight_map = shard_files(directory)
    write_index(directory, weight_map | {"roberta.embeddings.word_embeddings.weight": path})
    with pytest.raises(CheckpointError, match=r"must name files of its own directory|which is not there"):
        Checkpoint(directory)


def test_an_index_that_names_missing_files_or_tensors_is_refused(directory: Path) -> None:
    weight_map = shard_files(directory)
    write_index(directory, weight_map | {"x": "model-00009-of-00003.safetensors"})
    with pytest.raises(CheckpointError, match=r"names model-00009-of-00003\.safetensors, which is not there"):
        Checkpoint(directory)
    write_index(directory, weight_map | {"lm_head.other": "model-00001-of-00003.safetensors"})
    with pytest.raises(CheckpointError, match=r"places tensor lm_head\.other in model-00001.*does not hold it"):
        Checkpoint(directory)


def test_a_tensor_under_two_names_is_refused(directory: Path) -> None:
    rewrite(directory, lambda tensors: tensors | {"encoder.LayerNorm.bias": torch.zeros(16)})
    with pytest.raises(CheckpointError, match=r"holds both .*encoder\.LayerNorm\.bias and .*encoder\.LayerNorm"):
        Checkpoint(directory)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": ["a"]}'])
def test_a_damaged_index_is_refused(directory: Path, text: str) -> None:
    (directory / SINGLE).unlink()
    (directory / INDEX).write_text(text)
    with pytest.raises(CheckpointError, match=r"index\.json (must hold a JSON object|is not valid JSON)"):
        Checkpoint(directory)
