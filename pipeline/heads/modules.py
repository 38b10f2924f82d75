"""The torch modules of trunks and heads, without their weights: which a task needs, and their names on disk."""

import torch
from torch import nn

from model import ShardGroup, XLMRobertaXLModel
from model.layers.encoder import Pooler
from model.layers.heads import ClassificationHead, LabelHead, LMHead
from pipeline.heads.resolve import Head, read_config
from pipeline.tasks.all_tasks import (
    CausalLMLossHead,
    EmbeddingHead,
    FillMaskHead,
    MaskedLMLossHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    TextClassificationHead,
    TextGenerationHead,
    TokenClassificationHead,
    ZeroShotHead,
)

HeadModules = dict[str, nn.Module]
"""A head's modules in the order in which they are applied, by their names in checkpoints."""


def build_trunk(path: str, group: ShardGroup) -> XLMRobertaXLModel:
    """A rank's part of a trunk (on the meta device)."""
    with torch.device("meta"):
        return XLMRobertaXLModel(read_config(path, "trunk"), add_pooling_layer=False, group=group)


def build_head(head: Head, trunk: XLMRobertaXLModel) -> HeadModules:
    """A head's modules (on the meta device); none for a head that only pools."""
    config = head.config
    with torch.device("meta"):
        match head.options:
            case TextClassificationHead() | ZeroShotHead():
                return {"classifier": ClassificationHead(config)}
            case TokenClassificationHead():
                return {"classifier": LabelHead(config)}
            case QuestionAnsweringHead():
                return {"qa_outputs": LabelHead(config)}
            case MultipleChoiceHead():
                return {"pooler": Pooler(config), "classifier": LabelHead(config, 1)}
            case MaskedLMLossHead() | CausalLMLossHead() | FillMaskHead() | TextGenerationHead():
                embedding = trunk.get_input_embeddings() if config.tie_word_embeddings else None
                return {"lm_head": LMHead(config, trunk.group, embedding)}
            case EmbeddingHead(pooling="pooler"):
                return {"pooler": Pooler(config)}
            case EmbeddingHead():
                return {}
