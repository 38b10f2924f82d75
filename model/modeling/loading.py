"""What `from_pretrained` does with a checkpoint: its configuration, its weights, and what is said about both."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.checkpoints.hub import HubOptions
from model.checkpoints.reader import (
    Checkpoint,
    CheckpointError,
    LoadReport,
    canonical,
    load_parameters,
    parameters_of,
)
from model.config import XLMRobertaXLConfig
from model.modeling.initialization import initialize_parameters
from model.modeling.model_facts import ModelFacts

logger = logging.getLogger(__name__)

PREFIX = "roberta."


def configuration_of(
    config: XLMRobertaXLConfig | str | Path | None,
    directory: Path | None,
    options: HubOptions,
    changes: Mapping[str, Any],
) -> tuple[XLMRobertaXLConfig, dict[str, Any]]:
    """The configuration of a model to load, and those of `changes` that are no attributes of it.

    Args:
        config: itself, which is left as it is, or the path or hub id of one; default that of `directory`.
    """
    if isinstance(config, XLMRobertaXLConfig):
        values = vars(config.copy())
        return XLMRobertaXLConfig.from_dict(values, return_unused_kwargs=True, **changes)
    if config is not None:
        return XLMRobertaXLConfig.from_pretrained(config, return_unused_kwargs=True, **vars(options), **changes)
    assert directory is not None
    return XLMRobertaXLConfig.from_pretrained(directory, return_unused_kwargs=True, **changes)


def open_checkpoint(directory: str) -> Checkpoint:
    """The checkpoint in a directory; a warning names the weight files that are passed over."""
    checkpoint = Checkpoint(directory)
    if checkpoint.weight_files.notice:
        logger.warning("%s: %s", directory, checkpoint.weight_files.notice)
    return checkpoint


def load_weights(
    model: ModelFacts,
    checkpoint: Checkpoint,
    *,
    device: torch.device | str,
    ignore_mismatched_sizes: bool,
) -> LoadReport:
    """Give a model on the meta device the weights of a checkpoint, in the dtype of its configuration, and
    initialise those of its heads that the checkpoint does not hold.

    Raises:
        CheckpointError: a tensor of the trunk is missing, or one of another shape is not to be ignored.
    """
    dtype = model.config.dtype
    assert dtype is not None
    mismatched = _mismatched_tensors(model, checkpoint) if ignore_mismatched_sizes else {}
    checkpoint.leave_out(stored for entries in mismatched.values() for stored, _, _ in entries)
    missing = load_parameters(model, checkpoint, dtype=dtype, device=device)
    refuse_missing_trunk([name for name in missing if name not in mismatched], checkpoint)
    initialized = initialize_parameters(
        model,
        initializer_range=model.config.initializer_range,
        group=model.group,
        dtype=dtype,
        device=str(device),
    )
    return LoadReport(
        new=[name for name in initialized if name not in mismatched],
        unused=checkpoint.unused,
        mismatched=sorted(entry for entries in mismatched.values() for entry in entries),
    )


def _mismatched_tensors(
    model: ModelFacts, checkpoint: Checkpoint
) -> dict[str, list[tuple[str, torch.Size, torch.Size]]]:
    """By parameter, the stored tensors of another shape: name, its shape, and that of the parameter."""
    stored_names = {name.removeprefix(PREFIX): name for name in checkpoint.names}
    mismatched = {}
    for entry in parameters_of(model):
        found = [
            (stored_names[name.removeprefix(PREFIX)], torch.Size(checkpoint.shape(name)), entry.full_shape)
            for name in entry.names
            if name in checkpoint and checkpoint.shape(name) != list(entry.full_shape)
        ]
        if found:
            mismatched[entry.names[0]] = found
    return mismatched


def refuse_missing_trunk(missing: list[str], checkpoint: Checkpoint) -> None:
    """Raise CheckpointError if embeddings or encoder are not complete; heads and pooler may be new."""
    trunk = [name for name in missing if is_of_trunk(name)]
    if trunk:
        shown = ", ".join(trunk[:5]) + (f" and {len(trunk) - 5} more" if len(trunk) > 5 else "")
        unused = sorted(checkpoint.unused, key=lambda name: not is_of_trunk(name))
        such_as = f", such as {', '.join(unused[:3])}" if unused else ""
        raise CheckpointError(
            f"{checkpoint.directory}: {len(trunk)} tensors of the trunk are missing: {shown}; "
            f"found {len(unused)} tensors that fit nowhere{such_as}. Is this the right checkpoint?"
        )


def is_of_trunk(name: str) -> bool:
    """Whether a tensor belongs to the embeddings or the encoder; heads and the pooler are no part of the trunk."""
    return canonical(name).startswith(("embeddings.", "encoder."))


def warn_of(report: LoadReport, source: str | Path | None, class_name: str) -> None:
    """Log what was initialised and what was not used."""
    if report.new:
        logger.warning("%s: not in the checkpoint, newly initialised: %s", source, ", ".join(report.new))
    if report.mismatched:
        shapes = ", ".join(f"{name} {list(stored)}, here {list(own)}" for name, stored, own in report.mismatched)
        logger.warning("%s: of another shape in the checkpoint, newly initialised: %s", source, shapes)
    if report.unused:
        logger.warning("%s: not used by %s: %s", source, class_name, ", ".join(report.unused))


def loading_info(model: ModelFacts, checkpoint: Checkpoint, report: LoadReport) -> dict[str, list[Any]]:
    """The dictionary of `output_loading_info`, with the names that the tensors have in the checkpoint."""
    new = set(report.new)
    missing = [name for entry in parameters_of(model) if entry.names[0] in new for name in entry.names]
    if not any(name.startswith(PREFIX) for name in checkpoint.names):
        missing = [name.removeprefix(PREFIX) for name in missing]
    elif not hasattr(model, model.base_model_prefix):  # a trunk
        missing = [PREFIX + name for name in missing]
    return {
        "missing_keys": sorted(missing),
        "unexpected_keys": report.unused,
        "mismatched_keys": report.mismatched,
        "error_msgs": [],
    }
