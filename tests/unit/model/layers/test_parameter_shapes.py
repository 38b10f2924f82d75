"""The table of parameters against the modules, in the order of the modules."""

from typing import Any

import pytest
import torch
from torch import nn

from model import ShardGroup, XLMRobertaXLModel
from model.checkpoints.parameters import parameters_of
from model.configuration.comet import CometOptions
from model.layers.head_layers import (
    Classifying,
    Estimating,
    HeadLayer,
    Labelling,
    LanguageModeling,
    Mixing,
    Pooling,
)
from model.layers.parameter_shapes import ParameterShape, trunk_parameters
from tests.comet_checkpoints import converted_options
from tests.unit.pipeline.compute_fixtures import tiny_config

TRUNKS: list[dict[str, Any]] = [
    {},
    {"num_hidden_layers": 3, "intermediate_size": 40, "type_vocab_size": 2, "max_position_embeddings": 66},
    {"pruned_heads": {0: [1], -1: [0, 2]}},
    {"is_decoder": True, "add_cross_attention": True, "pruned_heads": {1: [3]}},
    {"position_embedding_type": "relative_key"},
    {"position_embedding_type": "relative_key_query", "is_decoder": True, "add_cross_attention": True},
]


def shapes_of_modules(module: nn.Module, prefix: str, embedding: nn.Parameter) -> list[ParameterShape]:
    return [
        ParameterShape(tuple(entry.names), tuple(entry.full_shape), entry.parameter is embedding)
        for entry in parameters_of(module, prefix)
    ]


@pytest.mark.parametrize("changes", TRUNKS)
def test_the_parameters_of_a_trunk(changes: dict[str, Any]) -> None:
    config = tiny_config(**changes)
    trunk = XLMRobertaXLModel(config, add_pooling_layer=False)
    assert trunk_parameters(config) == shapes_of_modules(trunk, "", nn.Parameter())


@pytest.mark.parametrize(
    ("prefix", "layer"),
    [
        ("pooler", Pooling()),
        ("classifier", Labelling()),
        ("classifier", Labelling(num_labels=1)),
        ("qa_outputs", Labelling()),
        ("classifier", Classifying()),
        ("lm_head", LanguageModeling()),
        ("mix", Mixing(num_layers=3)),
        ("estimator", Estimating(CometOptions.from_dict(converted_options("kiwi")))),
    ],
)
@pytest.mark.parametrize("is_tied", [True, False])
def test_the_parameters_of_a_layer_on_the_trunk(prefix: str, layer: HeadLayer, is_tied: bool) -> None:
    config = tiny_config(tie_word_embeddings=is_tied, num_labels=7)
    embedding = XLMRobertaXLModel(config, add_pooling_layer=False).get_input_embeddings()
    with torch.device("meta"):
        module = layer.build(config, ShardGroup(), embedding)
    assert layer.parameters(config, prefix) == shapes_of_modules(module, prefix, embedding.weight)
