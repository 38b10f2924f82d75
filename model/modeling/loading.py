"""The steps of `from_pretrained`: read the configuration, load the weights, report what did not match."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.checkpoints.hub import HubOptions
from model.checkpoints.parameters import LoadReport, load_parameters, parameters_of
from model.checkpoints.reader import Checkpoint
from model.config import XLMRobertaXLConfig
from model.modeling.checkpoint_fit import refuse_missing_trunk
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
    """The configuration of a model to load, and the `changes` that are not its attributes.

    Args:
        config: a configuration, which is copied, or the path or hub id of one; default that of `directory`.
    """
    if isinstance(config, XLMRobertaXLConfig):
        values = vars(config.copy())
        return XLMRobertaXLConfig.from_dict(values, return_unused_kwargs=True, **changes)
    if config is not None:
        return XLMRobertaXLConfig.from_pretrained(config, return_unused_kwargs=True, **vars(options), **changes)
    assert directory is not None
    return XLMRobertaXLConfig.from_pretrained(directory, return_unused_kwargs=True, **changes)


def open_checkpoint(directory: str) -> Checkpoint:
    """Open the checkpoint in a directory; warn about weight files that are not read."""
    checkpoint = Checkpoint(directory)
    if checkpoint.weight_files.notice:
        logger.warning("%s: %s", directory, checkpoint.weight_files.notice)
    return checkpoint


def load_weights(
    model: ModelFacts, checkpoint: Checkpoint, *, device: torch.device | str, ignore_mismatched_sizes: bool
) -> LoadReport:
    """Load a model on the meta device in the dtype of its configuration; initialise heads that are missing.

    Raises CheckpointError: a tensor of the trunk is missing, or has another shape that is not to be ignored.
    """
    dtype = model.config.dtype
    assert dtype is not None
    mismatched = _mismatched_tensors(model, checkpoint) if ignore_mismatched_sizes else {}
    checkpoint.leave_out(stored for entries in mismatched.values() for stored, _, _ in entries)
    missing = load_parameters(model, checkpoint, dtype=dtype, device=device)
    refuse_missing_trunk([name for name in missing if name not in mismatched], checkpoint)
    initialized = initialize_parameters(
        model, initializer_range=model.config.initializer_range, group=model.group, dtype=dtype, device=str(device)
    )
    return LoadReport(
        new=[name for name in initialized if name not in mismatched],
        unused=checkpoint.unused,
        mismatched=sorted(entry for entries in mismatched.values() for entry in entries),
    )


def _mismatched_tensors(
    model: ModelFacts, checkpoint: Checkpoint
) -> dict[str, list[tuple[str, torch.Size, torch.Size]]]:
    """By parameter, the stored tensors of another shape: name, stored shape, shape of the parameter."""
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


def warn_of(report: LoadReport, source: str | Path | None, class_name: str) -> None:
    """Log a warning of initialised parameters and unused tensors."""
    if report.new:
        logger.warning("%s: not in the checkpoint, newly initialised: %s", source, ", ".join(report.new))
    if report.mismatched:
        shapes = ", ".join(f"{name} {list(stored)}, here {list(own)}" for name, stored, own in report.mismatched)
        logger.warning("%s: of another shape in the checkpoint, newly initialised: %s", source, shapes)
    if report.unused:
        logger.warning("%s: not used by %s: %s", source, class_name, ", ".join(report.unused))


def loading_info(model: ModelFacts, checkpoint: Checkpoint, report: LoadReport) -> dict[str, list[Any]]:
    """The dictionary of `output_loading_info`, with tensor names as in the checkpoint."""
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
