"""Heads on features of a frozen trunk, as the table `feature_head` of their `config.json` describes them.

No torch: a job is checked and planned with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from model.checkpoints.json_files import shown
from model.config import XLMRobertaXLConfig
from model.configuration.schema import MAX_COUNT, MAX_WIDTH, is_integer
from model.layers.layer_reads import LayerPooling, LayerRead

FEATURE_HEAD = "feature_head"
"""The key in `config.json`."""
MIX, CLASSIFIER = "mix", "classifier"
"""Prefixes of the tensors: the weights of a mix of layers, and the dense layers."""

DenseActivation = Literal["tanh", "relu"]


@dataclass(frozen=True)
class FeatureHead:
    """What a head reads of the trunk, and the dense layers that it puts on it.

    Attributes:
        layers: the layers of the trunk that it reads, ascending, counted as in `hidden_states`; several are mixed.
        pooling: "mean", "cls" or "max" for one state of a text, "token" for one of each token.
        dense_sizes: the widths of the dense layers before the one onto the labels, in their order.
        activation: behind each of these.
        temperature: what logits are divided by, so that scores are calibrated.
    """

    layers: tuple[int, ...]
    pooling: LayerPooling
    dense_sizes: tuple[int, ...] = ()
    activation: DenseActivation = "tanh"
    temperature: float = 1.0

    @classmethod
    def of(cls, config: XLMRobertaXLConfig) -> "FeatureHead | None":
        """The head that a configuration describes; None for those of the classes of Transformers.

        Raises ValueError, which names the key, for a value that is not as described above.
        """
        table = getattr(config, FEATURE_HEAD, None)
        if table is None:
            return None
        if not isinstance(table, Mapping):
            raise ValueError(f"config.{FEATURE_HEAD} must be a map (a JSON object), found {shown(table)}")
        expected = _expected(config.num_hidden_layers)
        for key in table.keys() ^ expected.keys():
            state = "is unknown" if key in table else "is missing"
            raise ValueError(f"config.{FEATURE_HEAD}.{key} {state}, expected {', '.join(expected)}")
        for key, (accepts, words) in expected.items():
            if not accepts(table[key]):
                raise ValueError(f"config.{FEATURE_HEAD}.{key} must be {words}, found {shown(table[key])}")
        if table["pooling"] == "max" and len(table["layers"]) > 1:
            raise ValueError(
                f"config.{FEATURE_HEAD}.pooling must be mean, cls or token for a mix of layers, found 'max'"
            )
        return cls(
            layers=tuple(table["layers"]),
            pooling=table["pooling"],
            dense_sizes=tuple(table["dense_sizes"]),
            activation=table["activation"],
            temperature=table["temperature"],
        )

    def table(self) -> dict[str, Any]:
        """The table of `config.json`."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def read(self) -> LayerRead:
        """What is read of the trunk."""
        return LayerRead(self.layers, self.pooling, MIX if len(self.layers) > 1 else None)


def _expected(num_layers: int) -> dict[str, tuple[Callable[[Any], bool], str]]:
    """By key, a test and what it tests for in words."""
    poolings, activations = get_args(LayerPooling), get_args(DenseActivation)
    return {
        "layers": (
            lambda value: _integers(value, 0, num_layers) and bool(value) and sorted(set(value)) == list(value),
            f"a list of layers of the trunk, ascending from 0 (the embeddings) to {num_layers}",
        ),
        "pooling": (lambda value: value in poolings, f"one of {', '.join(poolings)}"),
        "dense_sizes": (
            lambda value: _integers(value, 1, MAX_WIDTH) and len(value) <= MAX_COUNT,
            f"a list of widths from 1 to {MAX_WIDTH}",
        ),
        "activation": (lambda value: value in activations, f"one of {', '.join(activations)}"),
        "temperature": (
            lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e30,
            "a finite number above 0",
        ),
    }


def _integers(value: object, least: int, most: int) -> bool:
    return isinstance(value, list | tuple) and all(is_integer(item) and least <= item <= most for item in value)
