"""Heads, checkpoints and token ids for the tests of what happens between reading and writing."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from model import XLMRobertaXLConfig
from pipeline.arrays.windows import WINDOW_TYPE
from pipeline.config.job import JobConfig
from pipeline.heads.resolve import Head
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS
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
    config = config or tiny_config()
    texts = {name: name for name in ("text",) if name in HEAD_SECTIONS[task].model_fields}
    section: Any = HEAD_SECTIONS[task].model_validate({"task": task, "weights": trunk, **texts, **options})
    return Head(name, section, TASKS[task].sequence_spec(section, config.max_num_tokens), trunk, config)


def job_of(model: Path | str, heads: dict[str, Any], /, **sections: dict[str, Any]) -> JobConfig:
    """A job on this model; `sections` add keys to `model`, `input`, `output` and `run`."""
    return JobConfig.model_validate(
        {
            "model": {"path": str(model), **sections.get("model", {})},
            "input": {"path": "in", **sections.get("input", {})},
            "output": {"path": "out", **sections.get("output", {})},
            "run": sections.get("run", {}),
            "heads": heads,
        }
    )


def window_of(ids: list[int], **fields: Any) -> dict[str, Any]:
    """A window as the encoder hands it on; without `fields` that of a text that fits one, `<s> text </s>`."""
    num_text = len(ids) - 2
    return {
        "item": 0,
        "body_begin": 0,
        "prefix_size": 1,
        "body_size": num_text,
        "owned_begin": 1,
        "owned_end": 1 + num_text,
        "is_last": True,
        "input_ids": ids,
        "begins": [0] * len(ids),
        "ends": [0] * len(ids),
    } | fields


def window_column(rows: list[list[dict[str, Any]]]) -> pa.ListArray:
    """The windows of each row as a column of the encoder."""
    return pa.array(rows, pa.list_(WINDOW_TYPE))
