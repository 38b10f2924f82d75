"""What is built for a head is, by name and shape, what the model classes of its task hold."""

from typing import Any

import pytest
import torch
from torch import nn

import model
from model import ShardGroup, XLMRobertaXLModel
from pipeline.heads.modules import build_head
from tests.unit.pipeline.compute_fixtures import make_head, tiny_config

# The class whose head a task uses, and the options that the task needs.
TASKS: list[tuple[str, dict[str, Any], str]] = [
    ("text-classification", {}, "XLMRobertaXLForSequenceClassification"),
    ("zero-shot-classification", {"labels": ["a"]}, "XLMRobertaXLForSequenceClassification"),
    ("token-classification", {}, "XLMRobertaXLForTokenClassification"),
    ("question-answering", {}, "XLMRobertaXLForQuestionAnswering"),
    ("multiple-choice", {}, "XLMRobertaXLForMultipleChoice"),
    ("fill-mask", {}, "XLMRobertaXLForMaskedLM"),
    ("masked-lm-loss", {}, "XLMRobertaXLForMaskedLM"),
    ("causal-lm-loss", {}, "XLMRobertaXLForCausalLM"),
    ("text-generation", {}, "XLMRobertaXLForCausalLM"),
]


def trunk_of(**changes: Any) -> XLMRobertaXLModel:
    with torch.device("meta"):
        return XLMRobertaXLModel(tiny_config(**changes), add_pooling_layer=False, group=ShardGroup())


def shapes(modules: dict[str, nn.Module]) -> dict[str, torch.Size]:
    """Of all tensors, by their names in checkpoints without the trunk's prefix."""
    return {
        f"{prefix}.{name}": tensor.shape
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.parametrize(("task", "options", "class_name"), TASKS)
@pytest.mark.parametrize("is_tied", [True, False])
def test_a_task_has_the_head_of_its_model_class(
    task: str, options: dict[str, Any], class_name: str, is_tied: bool
) -> None:
    num_labels = 2 if task == "question-answering" else 5
    config = tiny_config(num_labels=num_labels, tie_word_embeddings=is_tied, is_decoder="Causal" in class_name)
    modules = build_head(make_head("head", task, config=config, **options), trunk_of(tie_word_embeddings=is_tied))
    with torch.device("meta"):
        whole = getattr(model, class_name)(config)
    trunk = ("roberta.embeddings.", "roberta.encoder.")
    expected = {
        name.removeprefix("roberta."): tensor.shape
        for name, tensor in whole.state_dict().items()
        if not name.startswith(trunk)
    }
    assert shapes(modules) == expected
    assert all(p.is_meta for module in modules.values() for p in module.parameters())


def test_modules_come_in_the_order_in_which_they_are_applied() -> None:
    modules = build_head(make_head("head", "multiple-choice"), trunk_of())
    assert list(modules) == ["pooler", "classifier"]


def test_a_vector_needs_a_module_only_where_it_is_of_the_pooler() -> None:
    trunk = trunk_of()
    for pooling in ("mean", "cls", "max"):
        assert build_head(make_head("vector", "embedding", pooling=pooling), trunk) == {}
    assert build_head(make_head("vector", "embedding", level="token"), trunk) == {}
    pooler = build_head(make_head("vector", "embedding", pooling="pooler"), trunk)
    assert list(shapes(pooler)) == ["pooler.dense.weight", "pooler.dense.bias"]


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_tied_projection_is_the_embedding_of_the_trunk(is_tied: bool) -> None:
    trunk = trunk_of()
    head = make_head("loss", "masked-lm-loss", config=tiny_config(tie_word_embeddings=is_tied))
    lm_head: Any = build_head(head, trunk)["lm_head"]
    assert (lm_head.decoder.weight is trunk.get_input_embeddings().weight) == is_tied
