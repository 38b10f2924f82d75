"""`model.safetensors.index.json`, the map from tensors to files."""

import json
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from model import XLMRobertaXLModel
from model.checkpoints.tensor_files import INDEX_FILE
from tests.fuzz.folders import CONFIG, put
from tests.fuzz.mutations import json_bytes
from tests.fuzz.outcome import refusals

NAMES = (
    "weight_map",
    "metadata",
    "total_size",
    "embeddings.word_embeddings.weight",
    "roberta.a",
    "a",
    "",
    "\ud800",
)


def mutate(rng: random.Random) -> bytes:
    """The index."""
    return json_bytes(rng, json.loads(_index()), NAMES)


def check(case: bytes) -> None:
    """Load the trunk."""
    folder = _folder()
    put(folder / INDEX_FILE, case)
    with refusals(folder):
        trunk = XLMRobertaXLModel.from_pretrained(folder)
    assert trunk.embeddings.word_embeddings.weight.shape == (602, 8)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    XLMRobertaXLModel(CONFIG.copy()).save_pretrained(folder, max_shard_size=10_000)
    return folder


@cache
def _index() -> Any:
    return (_folder() / INDEX_FILE).read_bytes()
