"""Heads, checkpoints and token ids for the tests of what happens between reading and writing."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from numpy.typing import NDArray

from model import XLMRobertaXLConfig
from pipeline.config import JobConfig
from pipeline.head_config import HEAD_SECTIONS, TextClassificationHead
from pipeline.heads import Head, Source
from tests.checkpoints import HEADS, write_random_checkpoint
from tests.tiny_tokenizer import write_tiny_sentencepiece

TINY_VOCAB_SIZE = 602
"""Tokens of the tiny tokenizer: 600 pieces, `<pad>` and `<mask>`."""


def tiny_config(**changes: Any) -> XLMRobertaXLConfig:
    """Two layers of width 32, three labels; a few rows more in the vocabulary than tokens, as released."""
    values: dict[str, Any] = {
        "vocab_size": TINY_VOCAB_SIZE + 6,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "id2label": {i: f"LABEL_{i}" for i in range(changes.pop("num_labels", 3))},
    }
    return XLMRobertaXLConfig(**values | changes)


def tiny_checkpoint(
    directory: Path, *, seed: int = 0, heads: frozenset[str] = frozenset(HEADS), **changes: Any
) -> Path:
    """A checkpoint of `tiny_config` with all heads and a tokenizer; far from zero, so that rows differ."""
    write_tiny_sentencepiece(directory)
    return write_random_checkpoint(directory, tiny_config(**changes), heads=heads, seed=seed, std=0.15)


def make_head(
    name: str, task: str, *, trunk: str = "trunk", config: XLMRobertaXLConfig | None = None, **options: Any
) -> Head:
    """A resolved head; nothing is read, unless `options` name weights and somebody loads them."""
    section: Any = HEAD_SECTIONS[task].model_validate({"task": task, "text": "text", "weights": trunk, **options})
    pair = section.text_pair if isinstance(section, TextClassificationHead) else None
    return Head(name, section, Source(section.text, pair), trunk, config or tiny_config())


def job_of(model: Path | str, heads: dict[str, Any], /, **sections: dict[str, Any]) -> JobConfig:
    """A job on this model; `sections` add keys to `model`, `input` and `output`."""
    return JobConfig.model_validate(
        {
            "model": {"path": str(model), **sections.get("model", {})},
            "input": {"path": "in", **sections.get("input", {})},
            "output": {"path": "out", **sections.get("output", {})},
            "heads": heads,
        }
    )


def token_lists(vocab_size: int = 40, max_tokens: int = 12) -> st.SearchStrategy[list[int]]:
    """`<s> … </s>` with any token but `<pad>` between: `</s>` of a pair, `<unk>` and `<mask>` too."""
    between = st.lists(st.integers(2, vocab_size - 1), max_size=max_tokens)
    return between.map(lambda ids: [0, *ids, 2])


def flat(rows: list[list[int]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows end to end, and their offsets."""
    ids = np.array([i for row in rows for i in row], dtype=np.int32)
    return ids, np.cumsum([0, *map(len, rows)], dtype=np.int64)


def id_column(rows: list[list[int] | None]) -> pa.ListArray:
    """Rows of token ids as the encoder hands them on."""
    return pa.array(rows, pa.list_(pa.int32()))
