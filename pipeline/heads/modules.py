"""Build the torch modules of trunks and heads, without weights."""

import torch
from torch import nn

from model import ShardGroup, XLMRobertaXLModel
from pipeline.heads.resolve import Head, read_config

HeadModules = dict[str, nn.Module]
"""A head's modules in the order of their application, by their names in checkpoints."""


def build_trunk(path: str, group: ShardGroup) -> XLMRobertaXLModel:
    """A rank's slice of a trunk, on the meta device."""
    with torch.device("meta"):
        return XLMRobertaXLModel(read_config(path, "trunk"), add_pooling_layer=False, group=group)


def build_head(head: Head, trunk: XLMRobertaXLModel) -> HeadModules:
    """A head's modules, on the meta device; empty for a head that only pools."""
    embedding = trunk.get_input_embeddings()
    with torch.device("meta"):
        return {
            name: layer.build(head.config, trunk.group, embedding)
            for name, layer in head.task.layers(head.options, head.config).items()
        }


def head_dtypes(head: Head, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The dtype of each of the head's modules on a trunk of this dtype, by name."""
    layers = head.task.layers(head.options, head.config)
    return {name: torch.float32 if layer.is_fp32 else dtype for name, layer in layers.items()}
