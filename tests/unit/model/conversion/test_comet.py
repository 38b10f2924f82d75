"""COMET checkpoints under the names of our layout: the weights of mixes, geometry, and what is refused."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoints.errors import CheckpointError
from model.conversion.comet import CometCheckpoint, sparsemax
from model.layers.layer_mix import LayerMix
from tests.comet_checkpoints import (
    HIDDEN_SIZES,
    METRICS,
    NUM_HEADS,
    NUM_LAYERS,
    SEVERITIES,
    comet_tensors,
    converted_options,
    lightning_state,
    write_comet,
)
from tests.comet_reference import sparse


def convert(directory: Path, hparams: dict[str, Any], **state: Any) -> CometCheckpoint:
    write_comet(directory, hparams, **state)
    return CometCheckpoint(directory, num_attention_heads=NUM_HEADS)


@pytest.mark.parametrize("kind", METRICS)
def test_names_geometry_and_options(tmp_path: Path, kind: str) -> None:
    checkpoint = convert(tmp_path, METRICS[kind])
    tensors, config = comet_tensors(METRICS[kind]), checkpoint.config
    found = (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.intermediate_size)
    assert found == (32, NUM_LAYERS, NUM_HEADS, 64)
    assert config.comet == converted_options(kind)  # type: ignore[attr-defined]
    assert [*config.id2label.values()] == (["O", *SEVERITIES] if kind == "xcomet" else ["O"])
    for name in ("embeddings.word_embeddings.weight", "encoder.layer.2.attention.self.key.bias"):
        assert torch.equal(checkpoint.read(f"roberta.{name}"), tensors[f"encoder.model.{name}"])
    assert torch.equal(checkpoint.read("estimator.layers.1.weight"), tensors["estimator.ff.3.weight"])
    assert checkpoint.shape("estimator.layers.0.weight") == [HIDDEN_SIZES[0], 32]
    heads = {"mix", "estimator", "tags"} if kind == "xcomet" else {"mix", "estimator"}
    assert {name.split(".")[0] for name in checkpoint.head_names} == heads
    assert set(checkpoint.names) - set(checkpoint.head_names) == {
        name.replace("encoder.model.", "roberta.", 1) for name in tensors if name.startswith("encoder.model.")
    }


@pytest.mark.parametrize(
    ("transformation", "is_sparse"), [("softmax", False), ("sparsemax", True), ("sparsemax_patch", False)]
)
def test_the_weights_of_the_mix_sum_to_one(tmp_path: Path, transformation: str, is_sparse: bool) -> None:
    checkpoint = convert(tmp_path, METRICS["unite"] | {"layer_transformation": transformation})
    tensors = comet_tensors(METRICS["unite"])
    scalars = torch.cat([tensors[f"layerwise_attention.scalar_parameters.{i}"] for i in range(NUM_LAYERS + 1)])
    expected = sparse(scalars.double()) if is_sparse else scalars.double().softmax(0)
    weights = checkpoint.read("mix.weight")
    torch.testing.assert_close(weights, expected.float())
    mix = LayerMix(NUM_LAYERS + 1)
    mix.load_state_dict({"weight": weights, "gamma": checkpoint.read("mix.gamma")})
    gamma = tensors["layerwise_attention.gamma"].item()
    assert sum(mix.coefficients()) == pytest.approx(gamma, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_sparsemax(seed: int) -> None:
    values = torch.randn(37, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = sparsemax(values * (seed + 1) / 4)
    torch.testing.assert_close(found, sparse(values * (seed + 1) / 4), rtol=0, atol=1e-12)
    assert (found == 0).any()


def test_sparsemax_of_equal_values() -> None:
    assert sparsemax(torch.zeros(4)).tolist() == [0.25] * 4
    assert sparsemax(torch.tensor([0.0, 9.0])).tolist() == [0.0, 1.0]


def test_what_else_a_checkpoint_holds_is_left_out(tmp_path: Path) -> None:
    hparams = METRICS["xcomet"]
    plain = convert(tmp_path / "plain", hparams).names
    tensors = comet_tensors(hparams)
    tensors |= OrderedDict(
        {
            "encoder.model.embeddings.position_ids": torch.arange(514)[None],
            "encoder.model.pooler.dense.weight": torch.zeros(32, 32),
            "layerwise_attention.dropout_mask": torch.zeros(NUM_LAYERS + 1),
            "layerwise_attention.dropout_fill": torch.full((NUM_LAYERS + 1,), -1e20),
            "wordloss.weight": torch.ones(4),
        }
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        write_comet(tmp_path / "more", hparams, tensors, **lightning_state(monkeypatch, hparams))
    assert CometCheckpoint(tmp_path / "more", num_attention_heads=NUM_HEADS).names == plain


def test_one_layer_in_place_of_a_mix(tmp_path: Path) -> None:
    hparams = METRICS["kiwi"] | {"sent_layer": 2, "layer_norm": True}
    tensors = comet_tensors(hparams)
    for name in [name for name in tensors if name.startswith("layerwise_attention")]:
        del tensors[name]
    write_comet(tmp_path, hparams, tensors)
    checkpoint = CometCheckpoint(tmp_path, num_attention_heads=NUM_HEADS)
    assert checkpoint.config.comet["sentence_layer"] == 2  # type: ignore[attr-defined]
    assert not checkpoint.config.comet["is_normalized"]  # type: ignore[attr-defined]
    assert not any(name.startswith("mix") for name in checkpoint.names)


HPARAMS: list[tuple[dict[str, Any], str]] = [
    (
        {"class_identifier": "referenceless_regression_metric"},
        "class_identifier: found 'referenceless_regression_metric', whose scores are made of texts that are read "
        "apart, expected unified_metric or xcomet_metric",
    ),
    ({"class_identifier": None}, "class_identifier: found None, expected unified_metric or xcomet_metric"),
    ({"encoder_model": "RemBERT"}, "encoder_model: found 'RemBERT', expected 'XLM-RoBERTa-XL'"),
    ({"encoder_model": "XLM-RoBERTa"}, "encoder_model: found 'XLM-RoBERTa', expected 'XLM-RoBERTa-XL'"),
    ({"input_segments": ["mt", "ref"]}, "input_segments: found ['mt', 'ref'], expected mt and src, or mt, src"),
    ({"layer_transformation": "entmax"}, "layer_transformation: found 'entmax', expected softmax, sparsemax or"),
    ({"activations": "ReLU"}, "activations: found 'ReLU', expected one of Tanh, Sigmoid, "),
    ({"final_activation": 3}, "final_activation: found 3, expected one of Tanh, "),
    ({"hidden_sizes": []}, "comet.hidden_sizes has a value that no converted COMET checkpoint has"),
    ({"hidden_sizes": [24, 17]}, "estimator.layers.1.weight must be [17, 24] by hparams.yaml, found [16, 24]"),
    ({"hidden_sizes": [24]}, "holds a tensor that its hparams.yaml has no place for: estimator.layers.2.weight"),
    ({"sent_layer": 9}, "a metric that reads layer 9, expected one from 0 to 3, the last one"),
    ({"word_level_training": True}, "lacks what would be tags.weight, which its hparams.yaml asks for"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), HPARAMS)
def test_hyperparameters_that_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    hparams = METRICS["unite"] | {"word_layer": 2} | changes
    write_comet(tmp_path, hparams, comet_tensors(METRICS["unite"]))
    with pytest.raises(CheckpointError) as caught:
        CometCheckpoint(tmp_path, num_attention_heads=NUM_HEADS)
    assert message in str(caught.value)


def test_hyperparameters_in_the_checkpoint_must_agree(tmp_path: Path) -> None:
    hparams = METRICS["unite"]
    with pytest.raises(CheckpointError, match="layer_norm: found False, and True in the checkpoint beside it"):
        convert(tmp_path, hparams, hyper_parameters=hparams | {"layer_norm": True})
    # This name of the file alone changes what COMET loads.
    patched = hparams | {"layer_transformation": "sparsemax_patch"}
    weights = convert(tmp_path, patched, hyper_parameters=hparams).read("mix.weight")
    assert torch.equal(weights, convert(tmp_path, patched).read("mix.weight"))
    # What the file does not say is in the checkpoint.
    short = {name: value for name, value in hparams.items() if name != "layer_norm"}
    assert convert(tmp_path, short).config.comet["is_normalized"]  # type: ignore[attr-defined]
    found = convert(tmp_path, short, hyper_parameters=hparams).config.comet  # type: ignore[attr-defined]
    assert not found["is_normalized"]


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    convert(tmp_path, METRICS["kiwi"])
    file = tmp_path / "hparams.yaml"
    file.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path}/mark']")
    with pytest.raises(CheckpointError, match="is not readable YAML without objects"):
        CometCheckpoint(tmp_path)
    assert not (tmp_path / "mark").exists()
    file.write_text("- a list")
    with pytest.raises(CheckpointError, match="must hold a map of names, found list"):
        CometCheckpoint(tmp_path)


TENSORS: list[tuple[str, torch.Tensor | None, str]] = [
    (
        "encoder.model.embeddings.LayerNorm.weight",
        torch.ones(32),
        "it has a LayerNorm on its embeddings, as XLM-R",
    ),
    ("encoder.model.encoder.layer.0.more.weight", torch.ones(1), "has no place for: roberta.encoder.layer.0.more"),
    (
        "estimator.ff.1.weight",
        torch.ones(1),
        "a tensor that no metric on XLM-R XL or XXL has: estimator.ff.1.weight",
    ),
    ("something", torch.ones(1), "a tensor that no metric on XLM-R XL or XXL has: something"),
    ("encoder.model.embeddings.word_embeddings.weight", None, "must hold a matrix encoder.model.embeddings.word_"),
    ("layerwise_attention.gamma", None, "must hold layerwise_attention.gamma and the scalars"),
    ("layerwise_attention.gamma", torch.ones(2), "layerwise_attention.gamma must be one number, found shape [2]"),
    ("layerwise_attention.scalar_parameters.1", None, "scalars of layerwise_attention from 0 on, found 3 of them"),
    (
        "layerwise_attention.scalar_parameters.4",
        torch.ones(1),
        "what would be mix.weight must be [4] by hparams.yaml",
    ),
    ("hidden2tag.weight", None, "lacks what would be tags.weight"),
    ("hidden2tag.bias", torch.ones(3), "what would be tags.bias must be [4] by hparams.yaml, found [3]"),
]


@pytest.mark.parametrize(("name", "tensor", "message"), TENSORS)
def test_tensors_that_are_refused(tmp_path: Path, name: str, tensor: torch.Tensor | None, message: str) -> None:
    tensors = comet_tensors(METRICS["xcomet"])
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    write_comet(tmp_path, METRICS["xcomet"], tensors)
    with pytest.raises(CheckpointError) as caught:
        CometCheckpoint(tmp_path, num_attention_heads=NUM_HEADS)
    assert message in str(caught.value)


def test_the_number_of_attention_heads_must_be_known(tmp_path: Path) -> None:
    write_comet(tmp_path, METRICS["kiwi"])
    with pytest.raises(CheckpointError, match="how many attention heads a model of width 32 has, expected"):
        CometCheckpoint(tmp_path)
