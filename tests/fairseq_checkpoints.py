"""Small checkpoints in fairseq's layout, and the Transformers model that they must become.

The correspondence is spelled out module by module, as in Transformers' conversion script
(`convert_xlm_roberta_xl_original_pytorch_checkpoint_to_pytorch.py`), and not taken from the table under test.
"""

from collections import OrderedDict
from typing import Any

import torch
import transformers
from torch import Tensor, nn

Tensors = OrderedDict[str, Tensor]


def fairseq_tensors(
    *,
    num_layers: int = 2,
    width: int = 24,
    ffn: int = 40,
    vocab_size: int = 60,
    heads: dict[str, int] | None = None,
    dtype: torch.dtype = torch.float32,
    prefix: str = "encoder",
) -> Tensors:
    """Random tensors of an XL-like model: tied projection, `version` key, named classification heads."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 0.15).to(dtype)

    def linear(name: str, rows: int, columns: int) -> None:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = random(rows, columns), random(rows)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = random(width) + 1, random(width)

    tensors: Tensors = OrderedDict()
    encoder = f"{prefix}.sentence_encoder"
    tensors[f"{encoder}.version"] = torch.tensor([3.0])
    tensors[f"{encoder}.embed_tokens.weight"] = random(vocab_size, width)
    tensors[f"{encoder}.embed_positions.weight"] = random(34, width)
    for i in range(num_layers):
        layer = f"{encoder}.layers.{i}"
        for projection in ("k_proj", "v_proj", "q_proj", "out_proj"):
            linear(f"{layer}.self_attn.{projection}", width, width)
        norm(f"{layer}.self_attn_layer_norm")
        linear(f"{layer}.fc1", ffn, width)
        linear(f"{layer}.fc2", width, ffn)
        norm(f"{layer}.final_layer_norm")
    norm(f"{encoder}.layer_norm")
    tensors[f"{prefix}.lm_head.weight"] = tensors[f"{encoder}.embed_tokens.weight"]
    tensors[f"{prefix}.lm_head.bias"] = random(vocab_size)
    linear(f"{prefix}.lm_head.dense", width, width)
    norm(f"{prefix}.lm_head.layer_norm")
    for name, num_labels in (heads or {}).items():
        linear(f"classification_heads.{name}.dense", width, width)
        linear(f"classification_heads.{name}.out_proj", num_labels, width)
    return tensors


def transformers_model(tensors: Tensors, *, num_attention_heads: int, head: str | None = None) -> Any:
    """The fp32 Transformers model with these weights, assigned one by one."""
    prefix = next(iter(tensors)).split(".")[0]
    encoder = f"{prefix}.sentence_encoder"
    words = tensors[f"{encoder}.embed_tokens.weight"]
    num_layers = len({name.split(".")[3] for name in tensors if name.startswith(f"{encoder}.layers.")})
    config = transformers.XLMRobertaXLConfig(
        vocab_size=len(words), hidden_size=words.shape[1], num_hidden_layers=num_layers,
        num_attention_heads=num_attention_heads,
        intermediate_size=len(tensors[f"{encoder}.layers.0.fc1.bias"]),
        max_position_embeddings=len(tensors[f"{encoder}.embed_positions.weight"]),
        num_labels=len(tensors[f"classification_heads.{head}.out_proj.bias"]) if head else 2,
        tie_word_embeddings=torch.equal(tensors[f"{prefix}.lm_head.weight"], words), attn_implementation="eager",
    )  # fmt: skip
    cls = transformers.XLMRobertaXLForSequenceClassification if head else transformers.XLMRobertaXLForMaskedLM
    model = cls(config).eval()

    def assign(module: nn.Module, name: str) -> None:
        module.weight.data = tensors[f"{name}.weight"].float()
        module.bias.data = tensors[f"{name}.bias"].float()

    trunk = model.roberta
    trunk.embeddings.word_embeddings.weight.data = words.float()
    trunk.embeddings.position_embeddings.weight.data = tensors[f"{encoder}.embed_positions.weight"].float()
    trunk.embeddings.token_type_embeddings.weight.data.zero_()
    assign(trunk.encoder.LayerNorm, f"{encoder}.layer_norm")
    for i, layer in enumerate(trunk.encoder.layer):
        theirs = f"{encoder}.layers.{i}"
        assign(layer.attention.self_attn_layer_norm, f"{theirs}.self_attn_layer_norm")
        assign(layer.attention.self.query, f"{theirs}.self_attn.q_proj")
        assign(layer.attention.self.key, f"{theirs}.self_attn.k_proj")
        assign(layer.attention.self.value, f"{theirs}.self_attn.v_proj")
        assign(layer.attention.output.dense, f"{theirs}.self_attn.out_proj")
        assign(layer.LayerNorm, f"{theirs}.final_layer_norm")
        assign(layer.intermediate.dense, f"{theirs}.fc1")
        assign(layer.output.dense, f"{theirs}.fc2")
    if head:
        assign(model.classifier.dense, f"classification_heads.{head}.dense")
        assign(model.classifier.out_proj, f"classification_heads.{head}.out_proj")
    else:
        assign(model.lm_head.dense, f"{prefix}.lm_head.dense")
        assign(model.lm_head.layer_norm, f"{prefix}.lm_head.layer_norm")
        assign(model.lm_head.decoder, f"{prefix}.lm_head")
    return model
