"""Small checkpoints as COMET lays them out: `hparams.yaml` and Lightning's `checkpoints/model.ckpt`."""

import itertools
import json
import shutil
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from tests.comet.weights import random_tensor

ROOT = Path(__file__).resolve().parents[2]
DEMO_TOKENIZER = ROOT / "jobs/demo/model/sentencepiece.bpe.model"
NUM_HEADS = 4
CHECKPOINT_FILE = "checkpoints/model.ckpt"
SEVERITIES = ("minor", "major", "critical")
_UNIFIED, _XCOMET = "unified_metric", "xcomet_metric"
_CLASS_WEIGHTS = [0.08, 0.486, 0.505, 0.533]


@dataclass(frozen=True)
class Geometry:
    """The sizes of a trunk."""

    num_layers: int = 3
    width: int = 32
    num_heads: int = NUM_HEADS
    ffn_size: int = 64
    vocab_size: int = 18_002


SMALL = Geometry()
"""For the tokenizer of the demo."""


@dataclass(frozen=True)
class CometCheckpoint:
    """One checkpoint.

    Attributes:
        name: of its folder.
        seed: of its weights.
        hparams: those that say something about its computation; `write_raw` adds what training leaves behind.
        layer_weights: the scalars of the mix before they are transformed, embeddings first; none without a mix.
        head_scale, score_bias: of the last layer of the estimator, so that scores vary over pairs, some beyond 1.
        no_error_bias: of the label O, so that some pieces have another label and most have not.
    """

    name: str
    seed: int
    class_identifier: str
    hparams: Mapping[str, Any]
    layer_weights: Sequence[float]
    head_scale: float = 1.0
    score_bias: float = 0.0
    no_error_bias: float = 0.0

    @property
    def has_spans(self) -> bool:
        """Whether it labels the pieces of translations."""
        return self.class_identifier == _XCOMET or bool(self.hparams.get("word_level_training"))

    @property
    def severities(self) -> Sequence[str]:
        """Labels besides O."""
        severities: Sequence[str] = self.hparams.get("error_labels", SEVERITIES)
        return severities

    @property
    def takes_reference(self) -> bool:
        """Whether it can be asked with a reference."""
        return "ref" in self.hparams.get("input_segments", ("ref",))


_QE, _ALL = {"input_segments": ["mt", "src"]}, {"input_segments": ["mt", "src", "ref"]}
CHECKPOINTS = (
    CometCheckpoint(
        "kiwi-softmax", 1, _UNIFIED,
        {**_QE, "layer_transformation": "sparsemax_patch", "layer_norm": False, "hidden_sizes": [32, 16],
         "activations": "Tanh", "final_activation": None},
        (0.4, -0.9, 0.2, 0.8),
    ),
    CometCheckpoint(
        "kiwi-sparsemax-norm", 2, _UNIFIED,
        {**_QE, "layer_transformation": "sparsemax", "layer_norm": True, "hidden_sizes": [24],
         "activations": "Sigmoid", "final_activation": "Sigmoid"},
        (-0.7, 0.1, 0.6, 0.5), head_scale=5.0, score_bias=-3.5,
    ),
    CometCheckpoint(
        "unite-softmax-norm", 3, _UNIFIED,
        {**_ALL, "layer_transformation": "softmax", "layer_norm": True, "hidden_sizes": [32, 16],
         "activations": "Tanh", "final_activation": None},
        (0.9, 0.1, -0.5, 0.3),
    ),
    CometCheckpoint(
        "unite-sparsemax", 4, _UNIFIED,
        {**_ALL, "layer_transformation": "sparsemax", "layer_norm": False, "hidden_sizes": [16, 16, 8],
         "activations": "Tanh", "final_activation": None},
        (0.5, -1.2, 0.1, 0.7),
    ),
    CometCheckpoint(
        "unite-words", 7, _UNIFIED,
        {**_ALL, "layer_transformation": "softmax", "layer_norm": False, "hidden_sizes": [32, 16],
         "activations": "Tanh", "final_activation": None, "sent_layer": 2, "word_level_training": True,
         "word_layer": 1, "error_labels": ["minor", "major"]},
        (), no_error_bias=6.0,
    ),
    CometCheckpoint(
        "xcomet-sparsemax", 5, _XCOMET,
        {"layer_transformation": "sparsemax", "layer_norm": False, "hidden_sizes": [32, 16],
         "activations": "Tanh", "final_activation": None, "word_layer": 3},
        (-0.4, 0.3, 0.6, -0.9), head_scale=0.6, score_bias=0.3, no_error_bias=7.0,
    ),
    CometCheckpoint(
        "xcomet-softmax-norm", 6, _XCOMET,
        {"layer_transformation": "softmax", "layer_norm": True, "hidden_sizes": [32, 16],
         "activations": "Tanh", "final_activation": None, "word_layer": 2},
        (0.2, 0.8, -0.6, 0.5), head_scale=1.0, score_bias=0.5, no_error_bias=1.5,
    ),
)  # fmt: skip
BY_NAME = {checkpoint.name: checkpoint for checkpoint in CHECKPOINTS}


def write_pretrained(directory: Path, vocab_file: Path = DEMO_TOKENIZER, geometry: Geometry = SMALL) -> None:
    """The folder that `pretrained_model` names: the trunk's configuration and the tokenizer, no weights."""
    directory.mkdir(parents=True)
    config = {
        "model_type": "xlm-roberta-xl",
        "architectures": ["XLMRobertaXLForMaskedLM"],
        "vocab_size": geometry.vocab_size,
        "hidden_size": geometry.width,
        "num_hidden_layers": geometry.num_layers,
        "num_attention_heads": geometry.num_heads,
        "intermediate_size": geometry.ffn_size,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    shutil.copyfile(vocab_file, directory / "sentencepiece.bpe.model")


def write_raw(
    directory: Path, checkpoint: CometCheckpoint, pretrained_model: str, geometry: Geometry = SMALL
) -> Path:
    """The folder of a checkpoint as it is downloaded; returns it."""
    hparams = {**_left_by_training(checkpoint), **checkpoint.hparams, "pretrained_model": pretrained_model}
    (directory / CHECKPOINT_FILE).parent.mkdir(parents=True)
    (directory / "hparams.yaml").write_text(
        yaml.safe_dump({**hparams, "class_identifier": checkpoint.class_identifier}), encoding="utf-8"
    )
    lightning = {
        "epoch": 1,
        "global_step": 4000,
        "pytorch-lightning_version": "2.2.2",
        "state_dict": state_dict(checkpoint, geometry),
        "loops": {"fit_loop": {"state_dict": {}}},
        "hparams_name": "kwargs",
        "hyper_parameters": hparams,
    }
    torch.save(lightning, directory / CHECKPOINT_FILE)
    return directory


def state_dict(checkpoint: CometCheckpoint, geometry: Geometry) -> "OrderedDict[str, Tensor]":
    """All tensors of a checkpoint under COMET's names."""
    tensors: OrderedDict[str, Tensor] = OrderedDict()
    width, num_layers, ffn_size = geometry.width, geometry.num_layers, geometry.ffn_size

    def put(name: str, *shape: int, std: float, mean: float = 0.0) -> None:
        values = random_tensor(name, shape, seed=checkpoint.seed, std=std, mean=mean)
        tensors[name] = torch.from_numpy(values)

    def linear(name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        put(f"{name}.weight", rows, columns, std=scale / columns**0.5)
        put(f"{name}.bias", rows, std=0.1)

    def norm(name: str) -> None:
        put(f"{name}.weight", width, std=0.2, mean=1.0)
        put(f"{name}.bias", width, std=0.1)

    embeddings, encoder = "encoder.model.embeddings", "encoder.model.encoder"
    put(f"{embeddings}.word_embeddings.weight", geometry.vocab_size, width, std=0.7)
    put(f"{embeddings}.position_embeddings.weight", 514, width, std=0.3)
    put(f"{embeddings}.token_type_embeddings.weight", 1, width, std=0.1)
    for number in range(num_layers):
        layer = f"{encoder}.layer.{number}"
        norm(f"{layer}.attention.self_attn_layer_norm")
        for projection in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{projection}", width, width, 1.5)
        linear(f"{layer}.attention.output.dense", width, width, 1.5)
        norm(f"{layer}.LayerNorm")
        linear(f"{layer}.intermediate.dense", ffn_size, width)
        linear(f"{layer}.output.dense", width, ffn_size)
    norm(f"{encoder}.LayerNorm")
    if checkpoint.layer_weights:
        tensors |= _mix(checkpoint.layer_weights)
    sizes = [width, *checkpoint.hparams["hidden_sizes"], 1]
    for number, (columns, rows) in enumerate(itertools.pairwise(sizes)):
        # A linear layer, its activation and its dropout take a number each.
        linear(f"estimator.ff.{3 * number}", rows, columns, checkpoint.head_scale if rows == 1 else 1.5)
    tensors[f"estimator.ff.{3 * (len(sizes) - 2)}.bias"] += checkpoint.score_bias
    if checkpoint.has_spans:
        linear("hidden2tag", 1 + len(checkpoint.severities), width, 2.0)
        tensors["hidden2tag.bias"][0] += checkpoint.no_error_bias
        tensors["wordloss.weight"] = torch.tensor(_CLASS_WEIGHTS[: 1 + len(checkpoint.severities)])
    return tensors


def _mix(layer_weights: Sequence[float]) -> "OrderedDict[str, Tensor]":
    """The mix of layers, with what its dropout in training leaves behind."""
    tensors: OrderedDict[str, Tensor] = OrderedDict()
    for number, weight in enumerate(layer_weights):
        tensors[f"layerwise_attention.scalar_parameters.{number}"] = torch.tensor([weight])
    tensors["layerwise_attention.gamma"] = torch.tensor([1.1])
    tensors["layerwise_attention.dropout_mask"] = torch.zeros(len(layer_weights))
    tensors["layerwise_attention.dropout_fill"] = torch.full((len(layer_weights),), -1e20)
    return tensors


def _left_by_training(checkpoint: CometCheckpoint) -> dict[str, Any]:
    """What hparams hold beside: settings of the training, and the trunk's class."""
    found: dict[str, Any] = {
        "nr_frozen_epochs": 0.3,
        "keep_embeddings_frozen": True,
        "optimizer": "AdamW",
        "warmup_steps": 0,
        "encoder_learning_rate": 1.0e-06,
        "learning_rate": 3.66e-06,
        "layerwise_decay": 0.983,
        "encoder_model": "XLM-RoBERTa-XL",
        "sent_layer": "mix",
        "loss": "mse",
        "dropout": 0.1,
        "batch_size": 2,
        "train_data": ["data/train.csv"],
        "validation_data": ["data/dev.csv"],
        "loss_lambda": 0.055,
        "load_pretrained_weights": True,
        "local_files_only": True,
    }
    if checkpoint.class_identifier == _XCOMET:
        return {**found, "word_level_training": True, "error_labels": list(SEVERITIES),
                "cross_entropy_weights": _CLASS_WEIGHTS}  # fmt: skip
    severities = checkpoint.severities
    return {**found, "word_level_training": False, "word_layer": 24, "error_labels": list(severities),
            "cross_entropy_weights": _CLASS_WEIGHTS[: 1 + len(severities)]}  # fmt: skip
