"""What a model tells about itself, next to Transformers."""

import pytest
import torch
import transformers

import model
from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLModel
from tests.oracle import oracle_of
from tests.random_cases import CLASSES

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20,
)  # fmt: skip
CONFIGS = [
    CONFIG,
    CONFIG.copy(tie_word_embeddings=False, pruned_heads={1: [0]}),
    CONFIG.copy(position_embedding_type="relative_key"),
]


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_sizes_are_those_of_transformers(class_name: str, config: XLMRobertaXLConfig) -> None:
    ours = getattr(model, class_name)(config)
    theirs = oracle_of(ours)
    for either in (ours, theirs):
        either.base_model.encoder.layer[0].attention.self.query.requires_grad_(False)
        either.get_input_embeddings().requires_grad_(False)
    for only_trainable in (False, True):
        for exclude_embeddings in (False, True):
            arguments = (only_trainable, exclude_embeddings)
            assert ours.num_parameters(*arguments) == theirs.num_parameters(*arguments)
    assert ours.get_memory_footprint(return_buffers=False) == theirs.get_memory_footprint(return_buffers=False)
    assert ours.bfloat16().get_memory_footprint() * 2 == theirs.get_memory_footprint(return_buffers=False)
    inputs = {"input_ids": torch.zeros(3, 7, dtype=torch.int64)}
    assert ours.estimate_tokens(inputs) == theirs.estimate_tokens(inputs) == 21
    for exclude_embeddings in (False, True):
        assert ours.floating_point_ops(inputs, exclude_embeddings) == theirs.floating_point_ops(
            inputs, exclude_embeddings
        )
    assert ours.estimate_tokens({}) == 0
    assert torch.equal(ours.dummy_inputs["input_ids"], theirs.dummy_inputs["input_ids"])
    assert ours.framework == theirs.framework


@pytest.mark.parametrize("class_name", CLASSES)
def test_attributes_of_the_class_are_those_of_transformers(class_name: str) -> None:
    ours, theirs = getattr(model, class_name), getattr(transformers, class_name)
    assert ours.config_class is XLMRobertaXLConfig
    assert theirs.config_class is transformers.XLMRobertaXLConfig
    assert ours.can_generate() == theirs.can_generate() == (class_name == "XLMRobertaXLForCausalLM")
    for name in ("main_input_name", "base_model_prefix", "is_parallelizable"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_inputs_that_require_gradients() -> None:
    """So that adapters on frozen weights get gradients through checkpointed layers."""
    masked_lm = XLMRobertaXLForMaskedLM(CONFIG).requires_grad_(False)
    ids = torch.tensor([[0, 5, 2]])
    assert not masked_lm(ids).logits.requires_grad
    masked_lm.enable_input_require_grads()
    assert masked_lm(ids).logits.requires_grad
    masked_lm.disable_input_require_grads()
    assert not masked_lm(ids).logits.requires_grad
    XLMRobertaXLModel(CONFIG).disable_input_require_grads()
