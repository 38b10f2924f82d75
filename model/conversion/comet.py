"""Read COMET checkpoints (CometKiwi, UniTE, XCOMET on XLM-R XL and XXL) under the names of our layout.

The weights of the mix are normalised here, so that the head holds the weights that it adds layers up with.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoints.errors import CheckpointError
from model.checkpoints.reader import canonical
from model.checkpoints.torch_file import named_tensors
from model.configuration.comet import CONFIG_KEY, OUTSIDE
from model.conversion.comet_hparams import HPARAMS_FILE, Transformation, read_hparams
from model.conversion.geometry import FIRST_FC1, POSITIONS, WORDS, config_of_tensors
from model.conversion.lightning_file import StandIn, load_lightning_file
from model.layers.head_layers import HeadLayer
from model.layers.parameter_shapes import trunk_parameters
from model.layers.quality_head import ESTIMATOR, MIX, TAGS, quality_layers

CHECKPOINT_FILE = Path("checkpoints", "model.ckpt")

_TRUNK = "encoder.model."
_SCALAR = re.compile(r"^layerwise_attention\.scalar_parameters\.(\d+)$")
_GAMMA = "layerwise_attention.gamma"
_KEYS = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^encoder\.model\.(.+)$", r"roberta.\1"),
        (r"^hidden2tag\.(weight|bias)$", rf"{TAGS}.\1"),
    )
]
_ESTIMATOR = re.compile(r"^estimator\.ff\.(\d+)\.(weight|bias)$")
# Each hidden layer of the estimator is followed by its activation and dropout.
_MODULES_PER_LAYER = 3
_NO_WEIGHTS = re.compile(
    r"^(?:encoder\.model\.(?:embeddings\.(?:position_ids|token_type_ids)|pooler\..+)"
    r"|layerwise_attention\.dropout_(?:mask|fill)|wordloss\.weight)$"
)


class CometCheckpoint:
    """The tensors of a COMET checkpoint: the trunk under its Hugging Face names, `mix`, `estimator` and `tags`.

    Args:
        directory: with `hparams.yaml` and `checkpoints/model.ckpt`.
        num_attention_heads: default that of the released models.

    Attributes:
        config: geometry and stored dtype of the trunk, labels, and the options of the head under `comet`.
        hparams: the contents of `hparams.yaml`.

    Raises CheckpointError: a damaged file, another metric or encoder, a tensor that is missing, or that the metric
        does not have, or of another shape.
    """

    def __init__(self, directory: str | Path, *, num_attention_heads: int | None = None) -> None:
        self.path = Path(directory) / CHECKPOINT_FILE
        state = load_lightning_file(self.path)
        hparams = read_hparams(Path(directory) / HPARAMS_FILE, _filled(state.get("hyper_parameters")))
        self.hparams = hparams.all
        options = hparams.options
        stored = named_tensors(self.path, state.get("state_dict"))
        self._refuse_other_encoders(stored)
        self._tensors = dict(self._renamed(stored))
        if options.sentence_layer is None:
            self._tensors |= self._mix(stored, hparams.transformation)
        for name in (WORDS, POSITIONS, FIRST_FC1):
            if name not in self._tensors or self._tensors[name].dim() != 2:
                raise CheckpointError(f"{self.path} must hold a matrix {name.replace('roberta.', _TRUNK)}")
        try:
            self.config = config_of_tensors(
                self._tensors,
                num_attention_heads,
                id2label=dict(enumerate((OUTSIDE, *options.severities))),
                **{CONFIG_KEY: options.to_dict()},
            )
            self._layers = quality_layers(options, self.config.num_hidden_layers)
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {error}") from error
        self._require_head()

    @property
    def names(self) -> list[str]:
        """Names of the tensors."""
        return list(self._tensors)

    @property
    def head_names(self) -> list[str]:
        """Those of the head."""
        return [name for name in self._tensors if name.split(".")[0] in self._layers]

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor."""
        return list(self._tensors[name].shape)

    def read(self, name: str) -> Tensor:
        """One tensor in the stored dtype, a view of the mapped file."""
        return self._tensors[name]

    def _refuse_other_encoders(self, stored: Mapping[str, Tensor]) -> None:
        if f"{_TRUNK}embeddings.LayerNorm.weight" in stored:
            raise CheckpointError(
                f"{self.path} is not on XLM-R XL or XXL: it has a LayerNorm on its embeddings, as XLM-R base and "
                "large have"
            )

    def _renamed(self, stored: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in stored.items():
            if _NO_WEIGHTS.match(name) or _SCALAR.match(name) or name == _GAMMA:
                continue
            yield self._rename(name), tensor

    def _rename(self, name: str) -> str:
        if match := _ESTIMATOR.match(name):
            layer, rest = divmod(int(match[1]), _MODULES_PER_LAYER)
            if not rest:
                return f"{ESTIMATOR}.layers.{layer}.{match[2]}"
        for pattern, new_name in _KEYS:
            if match := pattern.match(name):
                return match.expand(new_name)
        raise CheckpointError(f"{self.path} holds a tensor that no metric on XLM-R XL or XXL has: {name[:200]}")

    def _mix(self, stored: Mapping[str, Tensor], transformation: Transformation) -> dict[str, Tensor]:
        scalars = {int(match[1]): tensor for name, tensor in stored.items() if (match := _SCALAR.match(name))}
        if sorted(scalars) != list(range(len(scalars))) or not scalars or _GAMMA not in stored:
            raise CheckpointError(
                f"{self.path} must hold {_GAMMA} and the scalars of layerwise_attention from 0 on, found "
                f"{len(scalars)} of them"
            )
        for name, tensor in ((_GAMMA, stored[_GAMMA]), *(("a scalar", scalar) for scalar in scalars.values())):
            if tensor.numel() != 1:
                raise CheckpointError(f"{self.path}: {name} must be one number, found shape {list(tensor.shape)}")
        values = torch.cat([scalars[i].reshape(1) for i in range(len(scalars))]).double()
        weights = values.softmax(0) if transformation == "softmax" else sparsemax(values)
        return {f"{MIX}.weight": weights.float(), f"{MIX}.gamma": stored[_GAMMA].reshape(1).float()}

    def _require_head(self) -> None:
        """Compare the tensors with those of the head, and names alone with those of the trunk."""
        of_trunk = {name for parameter in trunk_parameters(self.config) for name in parameter.names}
        shapes = _shapes(self._layers, self.config)
        for name in self._tensors:
            if canonical(name) not in of_trunk and name not in shapes:
                raise CheckpointError(f"{self.path} holds a tensor that its hparams.yaml has no place for: {name}")
        for name, shape in shapes.items():
            if name not in self._tensors:
                raise CheckpointError(f"{self.path} lacks what would be {name}, which its hparams.yaml asks for")
            if self.shape(name) != shape:
                raise CheckpointError(
                    f"{self.path}: what would be {name} must be {shape} by hparams.yaml, found {self.shape(name)}"
                )


def sparsemax(values: Tensor) -> Tensor:
    """The point of the probability simplex nearest to `values` `[n]`, on whose faces it often lies.

    Martins and Astudillo 2016 (https://arxiv.org/abs/1602.02068), algorithm 1.
    """
    descending = values.sort(descending=True).values
    excess = descending.cumsum(0) - 1
    size = torch.arange(1, len(values) + 1, dtype=values.dtype)
    support = int((size * descending > excess).sum())
    return (values - excess[support - 1] / support).clamp(min=0)


def _shapes(layers: Mapping[str, HeadLayer], config: Any) -> dict[str, list[int]]:
    return {
        name: list(parameter.shape)
        for prefix, layer in layers.items()
        for parameter in layer.parameters(config, prefix)
        for name in parameter.names
    }


def _filled(stored: object) -> Mapping[Any, Any]:
    """The hyperparameters in a checkpoint, which Lightning keeps in a dictionary of a class of its own."""
    if isinstance(stored, StandIn):
        return stored.items
    return stored if isinstance(stored, dict) else {}
