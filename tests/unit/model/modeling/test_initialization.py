"""Fresh models: the distribution of Transformers, reproducible, whatever the number of ranks."""

import subprocess
import sys

import pytest
import torch

from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLModel

CONFIG = XLMRobertaXLConfig(
    vocab_size=500, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
    max_position_embeddings=40, initializer_range=0.05,
)  # fmt: skip


def test_values_are_those_that_transformers_draws() -> None:
    model = XLMRobertaXLForMaskedLM(CONFIG)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name.lower():
            assert (parameter == 1).all(), name
        elif parameter.numel() > 2000:
            assert parameter.std().item() == pytest.approx(0.05, rel=0.1), name
            assert abs(parameter.mean().item()) < 0.005, name
    embeddings = model.roberta.embeddings
    assert not embeddings.word_embeddings.weight[1].any()
    assert not embeddings.position_embeddings.weight[1].any()
    assert not any(p.is_meta for p in model.parameters())


def test_a_seed_gives_the_same_model_and_another_seed_another() -> None:
    models = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        models.append(XLMRobertaXLModel(CONFIG))
    weights = [m.encoder.layers[0].attention.self.query.weight for m in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    key = models[0].encoder.layers[0].attention.self.key.weight
    assert not torch.equal(weights[0], key)
    assert not torch.equal(weights[0], models[0].encoder.layers[1].attention.self.query.weight)


def test_no_parameter_is_made_under_the_meta_device() -> None:
    with torch.device("meta"):
        model = XLMRobertaXLForMaskedLM(CONFIG)
    assert all(p.is_meta for p in model.parameters())


def test_building_a_model_loads_no_compiler() -> None:
    """torch's would be loaded by whatever draws values on the meta device."""
    program = """
import sys
from model import XLMRobertaXLConfig, XLMRobertaXLForSequenceClassification
XLMRobertaXLForSequenceClassification(XLMRobertaXLConfig(
    vocab_size=500, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
    position_embedding_type="relative_key",
))
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_default_dtype_and_tied_weights() -> None:
    model = XLMRobertaXLForMaskedLM(CONFIG)
    assert model.dtype == torch.float32
    assert model.device == torch.device("cpu")
    assert model.lm_head.decoder.weight is model.get_input_embeddings().weight
    assert model.lm_head.bias is model.lm_head.decoder.bias
    assert model.training
