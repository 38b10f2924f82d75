"""Small folders of a model, written once a process, into which a mutated file is put."""

import tempfile
from functools import cache
from pathlib import Path

from model import XLMRobertaXLConfig
from tests.checkpoints import write_random_checkpoint
from tests.tiny_tokenizer import write_tiny_sentencepiece

CONFIG = XLMRobertaXLConfig(
    vocab_size=602,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=20,
    id2label={0: "no", 1: "maybe", 2: "yes"},
    label2id={"no": 0, "maybe": 1, "yes": 2},
)


@cache
def model_folder() -> Path:
    """A folder with `config.json`, `model.safetensors` (trunk, LM head and classifier) and a tokenizer."""
    folder = write_random_checkpoint(Path(tempfile.mkdtemp()), CONFIG)
    write_tiny_sentencepiece(folder)
    return folder


def put(path: Path, content: bytes) -> None:
    """Write a new file in place of an old one, which may still be mapped."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
