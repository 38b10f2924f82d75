"""Small checkpoints as COMET and Lightning write them, with random weights and all else that such files hold."""

import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from model.configuration.comet import CometOptions
from model.layers.parameter_shapes import trunk_parameters
from tests.tiny_tokenizer import write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import tiny_config

NUM_LAYERS, NUM_HEADS, HIDDEN_SIZES = 3, 4, [24, 16]
SEVERITIES = ("minor", "major", "critical")
_COMMON: dict[str, Any] = {
    "encoder_model": "XLM-RoBERTa-XL",
    "pretrained_model": "facebook/xlm-roberta-xl",
    "layer_transformation": "sparsemax",
    "layer_norm": False,
    "hidden_sizes": HIDDEN_SIZES,
    "activations": "Tanh",
    "final_activation": None,
    "dropout": 0.1,
    "word_layer": NUM_LAYERS - 1,
}
METRICS: dict[str, dict[str, Any]] = {
    "kiwi": _COMMON
    | {"class_identifier": "unified_metric", "input_segments": ["mt", "src"], "layer_norm": True}
    | {"layer_transformation": "softmax", "word_level_training": False},
    "unite": _COMMON
    | {"class_identifier": "unified_metric", "input_segments": ["mt", "src", "ref"], "word_level_training": False},
    "xcomet": _COMMON
    | {"class_identifier": "xcomet_metric", "word_level_training": True, "error_labels": list(SEVERITIES)},
}
"""Hyperparameters by kind of checkpoint."""


def converted_options(kind: str) -> dict[str, Any]:
    """What `config.json` of a converted checkpoint says under `comet`."""
    has_tags = bool(METRICS[kind]["word_level_training"])
    return CometOptions(
        metric=METRICS[kind]["class_identifier"],
        with_reference=kind != "kiwi",
        sentence_layer=None,
        is_normalized=METRICS[kind]["layer_norm"],
        hidden_sizes=tuple(HIDDEN_SIZES),
        activation="Tanh",
        word_layer=NUM_LAYERS - 1 if has_tags else None,
        severities=SEVERITIES if has_tags else (),
    ).to_dict()


def comet_tensors(hparams: dict[str, Any], seed: int = 0, **geometry: Any) -> "OrderedDict[str, Tensor]":
    """The state dict of a metric with these hyperparameters, far from zero, so that rows differ."""
    generator = torch.Generator().manual_seed(seed)
    config = tiny_config(num_hidden_layers=NUM_LAYERS, **geometry)

    def random(*shape: int, std: float = 0.15) -> Tensor:
        return torch.randn(shape, generator=generator) * std

    tensors: OrderedDict[str, Tensor] = OrderedDict()
    for parameter in trunk_parameters(config):
        [name] = parameter.names
        is_norm = "norm" in name.lower() and name.endswith("weight")
        tensors[f"encoder.model.{name}"] = random(*parameter.shape) + is_norm
    for i in range(NUM_LAYERS + 1):
        tensors[f"layerwise_attention.scalar_parameters.{i}"] = random(1, std=0.8)
    tensors["layerwise_attention.gamma"] = random(1) + 1
    ends = [*hparams["hidden_sizes"], 1]
    for i, (size, end) in enumerate(zip([config.hidden_size, *ends], ends, strict=False)):
        tensors[f"estimator.ff.{3 * i}.weight"] = random(end, size, std=0.4)
        tensors[f"estimator.ff.{3 * i}.bias"] = random(end)
    if hparams.get("word_level_training"):
        num_labels = 1 + len(hparams["error_labels"])
        tensors["hidden2tag.weight"] = random(num_labels, config.hidden_size, std=0.5)
        tensors["hidden2tag.bias"] = random(num_labels)
    return tensors


def write_comet(
    directory: Path, hparams: dict[str, Any], tensors: "OrderedDict[str, Tensor] | None" = None, **state: Any
) -> "OrderedDict[str, Tensor]":
    """Write `hparams.yaml` and `checkpoints/model.ckpt`; `state` is what else the checkpoint holds."""
    tensors = comet_tensors(hparams) if tensors is None else tensors
    (directory / "checkpoints").mkdir(parents=True, exist_ok=True)
    (directory / "hparams.yaml").write_text(yaml.safe_dump(hparams))
    torch.save({"state_dict": tensors, **state}, directory / "checkpoints" / "model.ckpt")
    return tensors


def write_converted(directory: Path, hparams: dict[str, Any], **geometry: Any) -> "OrderedDict[str, Tensor]":
    """Write a metric to `directory / raw`, and what `xlmr-convert` makes of it to `directory / converted`."""
    from jobs.convert.command import main  # noqa: PLC0415  # loads much

    tensors = write_comet(directory / "raw", hparams, comet_tensors(hparams, **geometry))
    write_tiny_sentencepiece(directory / "tokenizer")
    arguments = [str(directory / "raw"), str(directory / "converted"), "--num-attention-heads", str(NUM_HEADS)]
    assert main([*arguments, "--tokenizer", str(directory / "tokenizer")]) == 0
    return tensors


def lightning_state(monkeypatch: pytest.MonkeyPatch, hparams: dict[str, Any]) -> dict[str, Any]:
    """What Lightning keeps beside the weights, with classes that exist while `monkeypatch` has its patches."""

    def make(module: str, name: str, base: type = object) -> Any:
        cls = type(name, (base,), {"__module__": module})
        parts = module.split(".")
        for i in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
        setattr(sys.modules[module], name, cls)
        return cls

    attributes = make("pytorch_lightning.utilities.parsing", "AttributeDict", dict)
    callback = make("comet.models.callbacks", "State")
    listed = make("comet.models.lists", "Segments", list)
    kept = callback()
    kept.best_model_score = torch.tensor(0.5)
    return {
        "epoch": 1,
        "global_step": 12_000,
        "pytorch-lightning_version": "2.2.5",
        "hyper_parameters": attributes(hparams),
        "hparams_name": "kwargs",
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val_kendall'}": {"best_k_models": {"a": torch.ones(2)}, "x": kept}
        },
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": listed(["mt", "src"])}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-6}]}],
        "lr_schedulers": [{"lr_lambdas": [None], "paths": Path("checkpoints"), "set": {1, 2}}],
    }
