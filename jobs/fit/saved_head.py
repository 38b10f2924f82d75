"""A fitted head as a directory that `[heads.x] weights` names: `config.json` and `model.safetensors`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from jobs.fit.fitted_head import FittedHead, Problem
from model import XLMRobertaXLConfig
from model.layers.feature_head import CLASSIFIER, FEATURE_HEAD, MIX, FeatureHead

TRANSFORMERS = "transformers"
"""The folder with the same head as a class of Transformers has it, where one can hold it."""
WEIGHTS_FILE = "model.safetensors"
_PROBLEM_TYPES: Mapping[Problem, str] = {
    "single": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}

Tensors = dict[str, NDArray[np.float32]]


def save_head(directory: Path, head: FittedHead, labels: Sequence[str], trunk: XLMRobertaXLConfig) -> None:
    """Write a head, in fp32; the same head gives the same bytes.

    Args:
        labels: the names of the outputs of its last dense layer, in order.
        trunk: the configuration of the trunk that it was fitted on.
    """
    labelled = trunk.copy(
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        problem_type=_PROBLEM_TYPES[head.problem],
        torch_dtype="float32",
    )
    described = labelled.copy(architectures=None, **{FEATURE_HEAD: feature_head(head).table()})
    _write(directory, described, _tensors(head))
    found = as_transformers(head, trunk)
    if found is not None:
        architecture, tensors = found
        _write(directory / TRANSFORMERS, labelled.copy(architectures=[architecture]), tensors)


def feature_head(head: FittedHead) -> FeatureHead:
    """What `config.json` says of a fitted head."""
    return FeatureHead(
        layers=head.layers,
        pooling="token" if head.pooling == "word" else head.pooling,
        dense_sizes=tuple(len(bias) for _, bias in head.dense[:-1]),
        activation=head.activation or "tanh",
        temperature=float(head.temperature),
    )


def as_transformers(head: FittedHead, trunk: XLMRobertaXLConfig) -> tuple[str, Tensors] | None:
    """The class of Transformers that can hold a head, and its tensors; None if there is none.

    `XLMRobertaXLForTokenClassification` is one linear layer on the last layer.
    `XLMRobertaXLForSequenceClassification` has a dense layer with tanh on `<s>` of the last layer, as wide as the
    trunk: it holds a hidden layer that is no wider, and no linear head. The temperature is in the last weights.
    """
    dense, width = _unmixed_dense(head), trunk.hidden_size
    if head.layers != (trunk.num_hidden_layers,):
        return None
    weight, bias = dense[-1][0] / head.temperature, dense[-1][1] / head.temperature
    if head.pooling == "word" and len(dense) == 1:
        return "XLMRobertaXLForTokenClassification", _linear(CLASSIFIER, weight, bias)
    if head.pooling != "cls" or len(dense) != 2 or head.activation != "tanh" or len(dense[0][1]) > width:
        return None
    # Units that are not there give tanh(0) = 0.
    missing = width - len(dense[0][1])
    hidden = np.pad(dense[0][0], ((0, missing), (0, 0))), np.pad(dense[0][1], (0, missing))
    return "XLMRobertaXLForSequenceClassification", {
        **_linear(f"{CLASSIFIER}.dense", *hidden),
        **_linear(f"{CLASSIFIER}.out_proj", np.pad(weight, ((0, 0), (0, missing))), bias),
    }


def _tensors(head: FittedHead) -> Tensors:
    tensors: Tensors = {}
    if len(head.layers) > 1:
        assert head.mix is not None, "several layers are mixed"
        tensors = {f"{MIX}.weight": _fp32(head.mix), f"{MIX}.gamma": np.ones(1, dtype=np.float32)}
    *hidden, last = _unmixed_dense(head)
    for index, (weight, bias) in enumerate(hidden):
        tensors |= _linear(f"{CLASSIFIER}.dense.{index}", weight, bias)
    return tensors | _linear(f"{CLASSIFIER}.out_proj", *last)


def _unmixed_dense(head: FittedHead) -> list[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """The dense layers; the factor of a single layer is put into the first."""
    (weight, bias), *others = head.dense
    if len(head.layers) == 1 and head.mix is not None:
        weight = weight * head.mix[0]
    return [(weight, bias), *others]


def _linear(prefix: str, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> Tensors:
    return {f"{prefix}.weight": _fp32(weight), f"{prefix}.bias": _fp32(bias)}


def _fp32(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _write(directory: Path, config: XLMRobertaXLConfig, tensors: Tensors) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(directory)
    save_file(tensors, directory / WEIGHTS_FILE)
