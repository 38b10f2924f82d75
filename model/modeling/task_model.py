"""The base of the task models: a trunk, and the construction of their outputs."""

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from model.config import XLMRobertaXLConfig
from model.modeling.pretrained import XLMRobertaXLPreTrainedModel
from model.modeling.trunk import XLMRobertaXLModel
from model.outputs import BaseModelOutputWithPoolingAndCrossAttentions, ModelOutput
from model.parallel.group import ShardGroup


class TaskModel(XLMRobertaXLPreTrainedModel):
    """A trunk with a head, which subclasses add."""

    has_pooler = False

    def __init__(self, config: XLMRobertaXLConfig, *, group: ShardGroup | None = None) -> None:
        super().__init__(config, group)
        with torch.device("meta"):
            self.roberta = XLMRobertaXLModel(config, self.has_pooler, group=self.group)
            self._add_head(config)
        self.initialize()

    def _add_head(self, config: XLMRobertaXLConfig) -> None:
        """Build the modules of the head."""
        raise NotImplementedError

    def _output(
        self,
        kind: type[ModelOutput],
        outputs: BaseModelOutputWithPoolingAndCrossAttentions,
        return_dict: bool | None,
        **results: Tensor | None,
    ) -> Any:
        """Combine the results of the head with the optional outputs of the trunk.

        Args:
            kind: class of the output.
            return_dict: False for a tuple of all values that are not None; default that of the configuration.
            results: loss (None without labels) and logits.
        """
        optional = {
            name: getattr(outputs, name)
            for name in ("past_key_values", "hidden_states", "attentions", "cross_attentions")
        }
        if self.config.use_return_dict if return_dict is None else return_dict:
            names = {field.name for field in fields(kind)}
            return kind(**results, **{name: value for name, value in optional.items() if name in names})
        return tuple(value for value in (*results.values(), *optional.values()) if value is not None)
