"""What all model classes share: building, loading from a directory, initialising."""

import logging
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from model.checkpoint import Checkpoint, CheckpointError, LoadReport, load_parameters
from model.config import XLMRobertaXLConfig, dtype_name
from model.initialization import initialize_parameters
from model.parallel import ShardGroup

logger = logging.getLogger(__name__)


class XLMRobertaXLPreTrainedModel(nn.Module):
    """Base of `XLMRobertaXLModel` and the task models.

    Attributes:
        config: geometry and options.
        group: the ranks that share this model; every rank holds its own slice of the weights.
        load_report: after `from_pretrained`, which parameters are new and which stored tensors were unused.
    """

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup | None = None) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.group = group or ShardGroup()
        self.load_report: LoadReport | None = None
        if self.group.size > config.num_attention_heads:
            raise ValueError(
                f"tensor parallelism over {self.group.size} ranks needs at least as many attention heads, "
                f"found config.num_attention_heads = {config.num_attention_heads}"
            )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def initialize(self) -> None:
        """Draw initial weights on the default device, unless that is the meta device.

        Classes build their modules under `torch.device("meta")` and call this behind it, so that nothing is
        allocated twice; a model within a model is left to the outer one, and all of it to `from_pretrained`.
        """
        device = torch.get_default_device()
        if device.type != "meta":
            initialize_parameters(self, initializer_range=self.config.initializer_range, device=str(device))

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        config: XLMRobertaXLConfig | None = None,
        group: ShardGroup | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | str | None = None,
        **overrides: Any,
    ) -> Self:
        """Load from a directory in Hugging Face layout; each rank reads its own slices only.

        Args:
            path: directory with `config.json` and `model.safetensors` (or a sharded index).
            config: in place of the directory's.
            dtype: of the weights; default as stored in `config.json`, else float32; "auto" is the default.
            overrides: changes to the configuration (`num_labels=3`, `problem_type=…`) and arguments of the
                class (`add_pooling_layer=False`).

        Returns:
            the model in `eval()` mode. Heads that the checkpoint does not hold are initialised, and a warning
            of the logger names them and the stored tensors that were not used; see `load_report`.

        Raises:
            CheckpointError: a tensor of the trunk is missing, or has another shape.
        """
        arguments = {k: overrides.pop(k) for k in ("add_pooling_layer",) if k in overrides}
        config = config.copy(**overrides) if config else XLMRobertaXLConfig.from_pretrained(path, **overrides)
        name = dtype_name(dtype) or config.torch_dtype or "float32"
        config.torch_dtype = name
        with torch.device("meta"):
            model = cls(config, group=group, **arguments)
        checkpoint = Checkpoint(path)
        missing = load_parameters(model, checkpoint, dtype=getattr(torch, name), device=device)
        refuse_missing_trunk(missing, checkpoint)
        new = initialize_parameters(
            model,
            initializer_range=config.initializer_range,
            dtype=getattr(torch, name),
            device=str(device),
        )
        model.load_report = LoadReport(new=new, unused=checkpoint.unused)
        if new:
            logger.warning("%s: not in the checkpoint, newly initialised: %s", path, ", ".join(new))
        if checkpoint.unused:
            logger.warning("%s: not used by %s: %s", path, cls.__name__, ", ".join(checkpoint.unused))
        return model.eval()


def refuse_missing_trunk(missing: list[str], checkpoint: Checkpoint) -> None:
    """Raise CheckpointError if embeddings or encoder are not complete; heads and pooler may be new."""
    trunk = [name for name in missing if name.removeprefix("roberta.").startswith(("embeddings.", "encoder."))]
    if trunk:
        shown = ", ".join(trunk[:5]) + (f" and {len(trunk) - 5} more" if len(trunk) > 5 else "")
        raise CheckpointError(
            f"{checkpoint.directory}: {len(trunk)} tensors of the trunk are missing: {shown}; "
            f"found {len(checkpoint.unused)} tensors that fit nowhere. Is this the right checkpoint?"
        )
