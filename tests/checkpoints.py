"""Random checkpoints in Hugging Face layout, of any geometry, written tensor by tensor."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLForSequenceClassification
from model.checkpoints.parameters import parameters_of
from model.layers.encoder import Pooler

HEADS = {"lm_head", "classifier", "pooler"}
_SAFETENSORS_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


def write_random_checkpoint(
    directory: Path,
    config: XLMRobertaXLConfig,
    *,
    heads: frozenset[str] = frozenset({"lm_head", "classifier"}),
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    std: float = 0.02,
) -> Path:
    """Write `config.json` and `model.safetensors` with random weights; never holds more than one tensor.

    Args:
        heads: which of lm_head, classifier (sequence classification) and pooler to write beside the trunk.
        std: of all weights; LayerNorm weights are near 1, biases near 0 (both random, so that a lost one shows).
    """
    assert heads <= HEADS
    config = config.copy(torch_dtype=dtype)
    config.save_pretrained(directory)
    shapes = dict(tensor_shapes(config, heads))
    with (directory / "model.safetensors").open("wb") as file:
        file.write(_header(shapes, dtype))
        for i, (name, shape) in enumerate(shapes.items()):
            tensor = _random_tensor(name, shape, std, np.random.default_rng([seed, i])).to(dtype)
            file.write(tensor.view(torch.uint8).numpy().tobytes())
    return directory


def tensor_shapes(config: XLMRobertaXLConfig, heads: frozenset[str]) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes of the tensors, as Transformers stores them."""
    with torch.device("meta"):
        masked_lm = XLMRobertaXLForMaskedLM(config)
        classifier = XLMRobertaXLForSequenceClassification(config)
        modules = {
            "roberta": masked_lm.roberta,
            "lm_head": masked_lm.lm_head,
            "classifier": classifier.classifier,
            "pooler": Pooler(config),
        }
    for prefix, module in modules.items():
        if prefix == "roberta" or prefix in heads:
            stored_prefix = "roberta.pooler" if prefix == "pooler" else prefix
            for entry in parameters_of(module, stored_prefix):
                is_tied = config.tie_word_embeddings and entry.names[0] == "lm_head.decoder.weight"
                if not is_tied:
                    yield entry.names[0], list(entry.full_shape)


def _random_tensor(name: str, shape: list[int], std: float, rng: np.random.Generator) -> torch.Tensor:
    values = rng.standard_normal(shape, dtype=np.float32) * np.float32(std)
    is_norm = "norm" in name.lower() and name.endswith("weight")
    return torch.from_numpy(values + np.float32(1.0) if is_norm else values)


def _header(shapes: dict[str, list[int]], dtype: torch.dtype) -> bytes:
    entries, offset = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * dtype.itemsize
        entries[name] = {
            "dtype": _SAFETENSORS_DTYPES[dtype],
            "shape": shape,
            "data_offsets": [offset, offset + size],
        }
        offset += size
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header
