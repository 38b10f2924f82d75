"""Read the hyperparameters of a COMET metric (`hparams.yaml`), as far as they change its results.

Names and defaults are those of COMET 2.2.7, in which `layer_transformation: sparsemax_patch` means softmax. Older
versions took it for sparsemax, and gave other scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from model.checkpoints.errors import CheckpointError
from model.checkpoints.json_files import shown
from model.configuration.comet import Activation, CometOptions, Metric
from model.conversion.lightning_file import StandIn

HPARAMS_FILE = "hparams.yaml"

Transformation = Literal["softmax", "sparsemax"]
"""What makes weights that sum to 1 of the learned scalars of a mix."""

_ENCODER = "XLM-RoBERTa-XL"
_MAX_BYTES = 2**20
_MIX = "mix"
_PATCHED = "sparsemax_patch"
_UNIFIED: dict[str, Any] = {
    "encoder_model": "XLM-RoBERTa",
    "sent_layer": _MIX,
    "layer_transformation": "sparsemax",
    "layer_norm": True,
    "word_layer": 24,
    "hidden_sizes": [3072, 1024],
    "activations": "Tanh",
    "final_activation": None,
    "input_segments": ["mt", "src", "ref"],
    "word_level_training": False,
    "error_labels": ["minor", "major"],
}
_DEFAULTS: dict[Metric, dict[str, Any]] = {
    "unified_metric": _UNIFIED,
    "xcomet_metric": _UNIFIED
    | {
        "encoder_model": _ENCODER,
        "layer_norm": False,
        "word_layer": 36,
        "hidden_sizes": [2560, 1280],
        "word_level_training": True,
        "error_labels": ["minor", "major", "critical"],
    },
}
# Of the classes of COMET, those whose scores are not made of joined texts.
_OTHER_METRICS = ("regression_metric", "referenceless_regression_metric", "ranking_metric")


@dataclass(frozen=True)
class CometHparams:
    """The hyperparameters of a metric.

    Attributes:
        options: those that the head needs.
        transformation: of the weights of the mix.
        all: the whole file.
    """

    options: CometOptions
    transformation: Transformation
    all: Mapping[str, Any]


def read_hparams(path: Path, stored: Mapping[Any, Any]) -> CometHparams:
    """Read `hparams.yaml`.

    Args:
        stored: the hyperparameters in the checkpoint beside it, which COMET uses; of the file it reads only the
            class and `sparsemax_patch`.

    Raises CheckpointError: no such file, another metric or encoder, a value that is not known, or two that differ.
    """
    values = _read_yaml(path)
    metric = values.get("class_identifier")
    if metric not in _DEFAULTS:
        kind = ", whose scores are made of texts that are read apart" if metric in _OTHER_METRICS else ""
        raise CheckpointError(
            f"{path}: class_identifier: found {shown(metric)}{kind}, expected {' or '.join(_DEFAULTS)}, as "
            "CometKiwi, UniTE and XCOMET have"
        )
    defaults = _DEFAULTS[metric]
    if values.get("layer_transformation") == _PATCHED:
        stored = {name: value for name, value in stored.items() if name != "layer_transformation"}
    stored = {name: value for name, value in stored.items() if not isinstance(value, StandIn)}
    for name in defaults:
        if name in values and name in stored and values[name] != stored[name]:
            raise CheckpointError(
                f"{path}: {name}: found {shown(values[name])}, and {shown(stored[name])} in the checkpoint beside "
                "it, which COMET goes by; download both again"
            )
    known = {name: values.get(name, stored.get(name, default)) for name, default in defaults.items()}
    try:
        return CometHparams(_options(metric, known), _transformation(known), values)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    """The map in a file; tags that would make objects are refused."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CheckpointError(f"{path} is larger than {_MAX_BYTES} bytes; download it again")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise CheckpointError(f"{path} is not readable YAML without objects: {first_line}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise CheckpointError(f"{path} must hold a map of names, found {type(values).__name__}")
    return values


def _options(metric: Metric, values: Mapping[str, Any]) -> CometOptions:
    if values["encoder_model"] != _ENCODER:
        raise ValueError(
            f"encoder_model: found {shown(values['encoder_model'])}, expected {_ENCODER!r}, as checkpoints on "
            "XLM-R XL and XXL have; other encoders are not converted"
        )
    segments = values["input_segments"] if metric == "unified_metric" else _UNIFIED["input_segments"]
    if not isinstance(segments, list) or sorted(map(str, segments)) not in (["mt", "src"], ["mt", "ref", "src"]):
        raise ValueError(
            f"input_segments: found {shown(segments)}, expected mt and src, or mt, src and ref; metrics without a "
            "source are not converted"
        )
    sentence_layer = values["sent_layer"]
    has_tags = bool(values["word_level_training"]) or metric == "xcomet_metric"
    fields = {
        "metric": metric,
        "with_reference": "ref" in segments,
        "sentence_layer": None if sentence_layer == _MIX else sentence_layer,
        "is_normalized": bool(values["layer_norm"]) and sentence_layer == _MIX,
        "hidden_sizes": values["hidden_sizes"],
        "activation": _activation("activations", values["activations"]),
        "final_activation": None,
        "word_layer": values["word_layer"] if has_tags else None,
        "severities": values["error_labels"] if has_tags else [],
    }
    if values["final_activation"] is not None:
        fields["final_activation"] = _activation("final_activation", values["final_activation"])
    return CometOptions.from_dict(fields)


def _activation(name: str, value: object) -> Activation:
    """As COMET looks them up: with one capital letter, so that it finds Tanh and not ReLU."""
    for activation in get_args(Activation):
        if isinstance(value, str) and value.title() == activation:
            return activation
    raise ValueError(f"{name}: found {shown(value)}, expected one of {', '.join(get_args(Activation))}")


def _transformation(values: Mapping[str, Any]) -> Transformation:
    match values["layer_transformation"]:
        case "softmax" | "sparsemax_patch":
            return "softmax"
        case "sparsemax":
            return "sparsemax"
    raise ValueError(
        f"layer_transformation: found {shown(values['layer_transformation'])}, expected softmax, sparsemax or "
        f"{_PATCHED}"
    )
