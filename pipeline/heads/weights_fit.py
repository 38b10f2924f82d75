"""Check from the headers of checkpoints that all tensors of trunks and heads are there, in the right shapes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from model.checkpoints.errors import CheckpointError
from model.checkpoints.hub import CONFIG_FILE
from model.checkpoints.json_files import read_json_object
from model.checkpoints.reader import Checkpoint, canonical
from model.layers.parameter_shapes import ParameterShape
from model.modeling.checkpoint_fit import is_of_trunk, refuse_misfit, refuse_missing_trunk, refuse_other_layers
from pipeline.heads.parameters import parameters_of_head, parameters_of_trunk
from pipeline.heads.resolve import Head, read_config

# Dtypes of unquantized weights.
_WEIGHT_DTYPES = ("float64", "float32", "bfloat16", "float16")


def refuse_unfit_trunk(directory: str, checkpoint: Checkpoint) -> None:
    """Compare all tensors of a trunk with `config.json`, and mark them as used.

    Raises CheckpointError if a tensor is missing, or has another shape or dtype.
    """
    config = read_config(directory, "trunk")
    _require_num_attention_heads(directory)
    try:
        refuse_other_layers(config, checkpoint.names)
    except CheckpointError as error:
        raise CheckpointError(f"{directory}: {error}") from None
    parameters = parameters_of_trunk(directory)
    expected = _shapes(parameters)
    checkpoint.mark_used(expected)
    try:
        _refuse_quantized(expected, checkpoint)
        refuse_misfit(config, expected, checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{directory}: {error}") from None
    refuse_missing_trunk(_missing_tensors(parameters, checkpoint), checkpoint)


def _require_num_attention_heads(directory: str) -> None:
    """The number of attention heads shows in no shape, and a default would give plausible wrong values."""
    values = read_json_object(Path(directory) / CONFIG_FILE)
    if "num_attention_heads" not in values:
        raise CheckpointError(
            f"{directory}: config.json has no num_attention_heads, which no tensor tells; add it, or download "
            "config.json again"
        )


def refuse_unfit_head(head: Head, checkpoint: Checkpoint) -> list[str]:
    """Compare all tensors of a head with `config.json`, mark them as used, and return the names of missing ones.

    Raises CheckpointError if a tensor has another shape or dtype than in the head's configuration.
    """
    layers = parameters_of_head(head)
    for parameters in layers.values():
        expected = _shapes(parameters)
        checkpoint.mark_used(expected)
        _refuse_quantized(expected, checkpoint)
        refuse_misfit(head.config, expected, checkpoint)
        vocab_size = read_config(head.trunk, "trunk").vocab_size
        if any(parameter.is_embedding for parameter in parameters) and head.config.vocab_size != vocab_size:
            raise CheckpointError(
                f"vocab_size is {head.config.vocab_size} in config.json, expected that of the trunk {head.trunk}, "
                f"{vocab_size}, whose embeddings the head shares; name a head of this trunk"
            )
    return [name for parameters in layers.values() for name in _missing_tensors(parameters, checkpoint)]


def _shapes(parameters: Iterable[ParameterShape]) -> dict[str, list[int]]:
    return {name: list(parameter.shape) for parameter in parameters for name in parameter.names}


def _missing_tensors(parameters: Iterable[ParameterShape], checkpoint: Checkpoint) -> list[str]:
    """Names of the parameters that are not stored; embeddings of the trunk need not be stored again."""
    return [
        parameter.names[0]
        for parameter in parameters
        if not parameter.is_embedding and parameter.stored_name(checkpoint) is None
    ]


def _refuse_quantized(names: Iterable[str], checkpoint: Checkpoint) -> None:
    for name in names:
        if name in checkpoint and (dtype := checkpoint.dtype(name)) not in _WEIGHT_DTYPES:
            raise CheckpointError(
                f"tensor {name} is {dtype}, expected float32, bfloat16 or float16; name the checkpoint as it was "
                "before it was quantized"
            )


def count_unused(checkpoint: Checkpoint, *, is_trunk: bool) -> str | None:
    """Unused tensors by prefix, with counts: `lm_head.* (5 tensors)`; None if there are none.

    Unless `is_trunk`, the trunk in this checkpoint equals the one that is read elsewhere, and is not counted.
    """
    prefixes = Counter(_prefix(name) for name in checkpoint.unused if is_trunk or not is_of_trunk(name))
    return ", ".join(f"{prefix}.* ({n} tensor{'s' * (n > 1)})" for prefix, n in prefixes.items()) or None


def _prefix(stored_name: str) -> str:
    name = canonical(stored_name)
    return stored_name.removesuffix(name) + name.split(".")[0]
