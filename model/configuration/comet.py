"""What `config.json` says of a checkpoint that was converted from COMET: its inputs, layers and estimator."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from model.checkpoints.json_files import shown

CONFIG_KEY = "comet"
"""The key in `config.json`, and the attribute of the configuration."""

Metric = Literal["unified_metric", "xcomet_metric"]
"""The class of a metric, by its name in `hparams.yaml`."""
OUTSIDE = "O"
"""The label of tokens without an error, the first one of all."""

Activation = Literal[
    "Tanh",
    "Sigmoid",
    "Identity",
    "Softplus",
    "Softsign",
    "Hardtanh",
    "Hardsigmoid",
    "Hardswish",
    "Mish",
]
"""The activations of `torch.nn` that COMET finds by name, but for those that need arguments."""


@dataclass(frozen=True)
class CometOptions:
    """The options of a metric that change its results.

    Attributes:
        metric: `unified_metric` (CometKiwi, UniTE) or `xcomet_metric`.
        with_reference: whether it was trained with references. It scores without one, too.
        sentence_layer: the layer of `<s>` that is scored; None for a mix of all layers.
        is_normalized: whether each layer of the mix is normalised first (`layer_norm`).
        hidden_sizes: of the estimator, at least one.
        activation: after each hidden layer.
        final_activation: of the score, if there is one.
        word_layer: the layer whose tokens are labelled; None where none are.
        severities: the labels besides O, by class id from 1.
    """

    metric: Metric
    with_reference: bool
    sentence_layer: int | None
    is_normalized: bool
    hidden_sizes: tuple[int, ...]
    activation: Activation
    final_activation: Activation | None = None
    word_layer: int | None = None
    severities: tuple[str, ...] = ()

    @property
    def num_tags(self) -> int:
        """Labels of a token; 0 where none are labelled."""
        return 0 if self.word_layer is None else 1 + len(self.severities)

    def to_dict(self) -> dict[str, Any]:
        """In the form of `config.json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Read the form of `config.json`. Raises ValueError, which names the key, for anything else."""
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            raise ValueError(f"{CONFIG_KEY} must be a map, found {shown(values)}")
        expected = {
            "metric": _is_one_of(get_args(Metric)),
            "with_reference": _is_bool,
            "sentence_layer": lambda value: value is None or _is_count(value, 0),
            "is_normalized": _is_bool,
            "hidden_sizes": _is_list(lambda size: _is_count(size, 1), at_least=1),
            "activation": _is_one_of(get_args(Activation)),
            "final_activation": _is_one_of((None, *get_args(Activation))),
            "word_layer": lambda value: value is None or _is_count(value, 0),
            "severities": _is_list(lambda name: isinstance(name, str) and name not in ("", OUTSIDE)),
        }
        for key in {**values, **expected}:
            if key not in expected or key not in values or not expected[key](values[key]):
                raise ValueError(
                    f"{CONFIG_KEY}.{key} has a value that no converted COMET checkpoint has, "
                    f"{shown(values.get(key))}; convert the checkpoint again"
                )
        lists = {key: tuple(values[key]) for key in ("hidden_sizes", "severities")}
        return cls(**{**values, **lists})


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_one_of(values: tuple[object, ...]) -> Any:
    return lambda value: any(value == other for other in values)


def _is_list(is_item: Any, at_least: int = 0) -> Any:
    return lambda value: isinstance(value, list | tuple) and len(value) >= at_least and all(map(is_item, value))
