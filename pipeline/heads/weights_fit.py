"""Check from the headers of checkpoints that all tensors of trunks and heads are there, in the right shapes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from model import CheckpointError, ShardGroup
from model.checkpoints.hub import CONFIG_FILE
from model.checkpoints.json_files import read_json_object
from model.checkpoints.parameters import parameters_of
from model.checkpoints.reader import Checkpoint, canonical
from model.modeling.checkpoint_fit import refuse_misfit, refuse_other_layers, shapes_of
from model.modeling.loading import is_of_trunk, refuse_missing_trunk
from pipeline.heads.modules import build_head, build_trunk
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
        # Before a trunk of that many layers is built.
        refuse_other_layers(config, checkpoint.names)
    except CheckpointError as error:
        raise CheckpointError(f"{directory}: {error}") from None
    trunk = build_trunk(directory, ShardGroup())
    expected = shapes_of(trunk)
    checkpoint.mark_used(expected)
    try:
        _refuse_quantized(expected, checkpoint)
        refuse_misfit(config, expected, checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{directory}: {error}") from None
    refuse_missing_trunk(_missing_tensors([("", trunk)], checkpoint), checkpoint)


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
    trunk = build_trunk(head.trunk, ShardGroup())
    modules = build_head(head, trunk)
    embedding = trunk.get_input_embeddings().weight
    for prefix, module in modules.items():
        expected = shapes_of(module, prefix)
        checkpoint.mark_used(expected)
        _refuse_quantized(expected, checkpoint)
        refuse_misfit(head.config, expected, checkpoint)
        is_tied = any(parameter is embedding for parameter in module.parameters())
        if is_tied and head.config.vocab_size != trunk.config.vocab_size:
            raise CheckpointError(
                f"vocab_size is {head.config.vocab_size} in config.json, expected that of the trunk {head.trunk}, "
                f"{trunk.config.vocab_size}, whose embeddings the head shares; name a head of this trunk"
            )
    return _missing_tensors(modules.items(), checkpoint, tied=embedding)


def _missing_tensors(
    modules: Iterable[tuple[str, nn.Module]], checkpoint: Checkpoint, *, tied: nn.Parameter | None = None
) -> list[str]:
    """Names of the modules' parameters that are not stored; `tied` need not be stored."""
    return [
        entry.names[0]
        for prefix, module in modules
        for entry in parameters_of(module, prefix)
        if entry.parameter is not tied and not any(name in checkpoint for name in entry.names)
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
