"""`model.safetensors`: the length of its header, the header, and the numbers."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import torch

from model import XLMRobertaXLForSequenceClassification
from tests.fuzz.folders import model_folder, put
from tests.fuzz.mutations import damaged, mutated
from tests.fuzz.outcome import refusals

NAMES = ("dtype", "shape", "data_offsets", "__metadata__", "roberta.embeddings.word_embeddings.weight", "a", "")
VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 8, 8.0, 2**32, 2**63, 2**64, "", "F64", "I8", "BOOL", "F8_E4M3", "F4", "C64", "BF16",
    "U64", [], [0], [8], [-1], [2**63], [2**32, 2**32], [0, 8], [8, 0], [0, 2**63], [2**64 - 8, 2**64], [1] * 100,
    {}, "x" * 1000,
)  # fmt: skip


def mutate(rng: random.Random) -> bytes:
    """The file."""
    content = _content()
    size = int.from_bytes(content[:8], "little")
    if rng.random() < 0.4:
        return damaged(
            rng,
            content,
            lambda: rng.choice((rng.randrange(9), rng.randrange(size + 8), rng.randrange(len(content)))),
        )
    header = json.dumps(mutated(rng, json.loads(content[8 : 8 + size]), NAMES, VALUES)).encode()
    stated = len(header) if rng.random() < 0.9 else rng.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(header) + 1))
    return stated.to_bytes(8, "little") + header + content[8 + size :]


def check(case: bytes) -> None:
    """Load a classifier and compute a batch."""
    path = model_folder() / "model.safetensors"
    put(path, case)
    with refusals(path.parent, "tensor"):
        classifier = XLMRobertaXLForSequenceClassification.from_pretrained(path.parent)
    assert classifier(torch.tensor([[0, 5, 6, 2]])).logits.shape == (1, 3)


@cache
def _content() -> bytes:
    path: Path = model_folder() / "model.safetensors"
    return path.read_bytes()
