"""A fitted head: what reads it from the trunk's layers, as plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

Problem = Literal["single", "multi_label", "regression"]
Pooling = Literal["mean", "cls", "max", "word"]
Activation = Literal["relu", "tanh"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FittedHead:
    """Dense layers on one pooled layer of the trunk or on a mix of several.

    Attributes:
        layers: layers that the head reads, 0 for the embeddings.
        pooling: of the layers' positions; "word" for one row a word, as token-classification has.
        mix: what each of `layers` is multiplied by before they are added, float64 `[len(layers)]`, positive: gamma
            times the layer's weight, over the scale that the layer had in fitting. None for one layer as it is.
        dense: weight `[out, in]` and bias `[out]` of each dense layer in order. Features are taken as they come
            out of the trunk: their standardisation is folded into the first one.
        activation: between dense layers.
        problem: what the last layer's outputs are: logits of labels of which one is right, or of which any number
            is; or values.
        temperature: what logits are divided by to give calibrated scores; 1 for values.
    """

    layers: tuple[int, ...]
    pooling: Pooling
    mix: Floats | None
    dense: tuple[tuple[Floats, Floats], ...]
    activation: Activation | None
    problem: Problem
    temperature: float = 1.0

    @property
    def num_parameters(self) -> int:
        """Numbers in the dense layers and the mix."""
        in_mix = 0 if self.mix is None else len(self.mix)
        return in_mix + sum(weight.size + bias.size for weight, bias in self.dense)

    def logits(self, features: Sequence[NDArray[np.floating]]) -> Floats:
        """The last dense layer's outputs in fp64, not yet divided by the temperature: `[N, out]`.

        Args:
            features: `[N, size]` of each of `layers`, in their order.
        """
        return dense_outputs(self._mixed(features), self.dense, self.activation)

    def scores(self, features: Sequence[NDArray[np.floating]]) -> Floats:
        """Calibrated probabilities of the labels `[N, out]`, or the values."""
        return scores_of(self.logits(features) / self.temperature, self.problem)

    def _mixed(self, features: Sequence[NDArray[np.floating]]) -> Floats:
        if self.mix is None:
            return np.asarray(features[0], dtype=np.float64)
        mixed = self.mix[0] * np.asarray(features[0], dtype=np.float64)
        for factor, layer in zip(self.mix[1:], features[1:], strict=True):
            mixed += factor * layer
        return mixed


def dense_outputs(inputs: Floats, dense: Sequence[tuple[Floats, Floats]], activation: Activation | None) -> Floats:
    """Dense layers with the activation between them: `[N, in]` to `[N, out]`."""
    outputs = inputs
    for number, (weight, bias) in enumerate(dense):
        if number and activation is not None:
            outputs = np.tanh(outputs) if activation == "tanh" else np.maximum(outputs, 0.0)
        outputs = outputs @ np.asarray(weight, dtype=np.float64).T + bias
    return outputs


def scores_of(logits: Floats, problem: Problem) -> Floats:
    """Probabilities of logits `[N, K]`, or the values as they are."""
    if problem == "single":
        return np.asarray(softmax(logits, axis=1), dtype=np.float64)
    return np.asarray(expit(logits), dtype=np.float64) if problem == "multi_label" else logits
