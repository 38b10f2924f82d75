"""A job of every task whose long sequences overflow: positions from `FIRST_OVERFLOW` on have huge embeddings."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors.torch import load_file, save_file

from model import XLMRobertaXLTokenizer
from tests.parity.tasks.job import heads_of_every_task
from tests.task_checkpoints import TaskCheckpoints
from tests.tiny_tokenizer import SENTENCES

FIRST_OVERFLOW = 60
"""The first position of a sequence, from 0, whose LayerNorm overflows; its embedding is finite in every dtype."""
HUGE = 3e38
LONG_ROW, GROWING_ROW = 2, 3
"""The row of long texts; and the one that becomes long by the tokens that are generated."""
NUM_ROWS = 6

LONG = " ".join(SENTENCES[:6])
GENERATION_HEADS = ("continued", "drawn", "searched")


def overflowing_copy(checkpoints: TaskCheckpoints, directory: Path) -> TaskCheckpoints:
    """The same checkpoints with huge embeddings of far positions."""
    shutil.copytree(checkpoints.directory, directory)
    for name in ("encoder", "own", "decoder"):
        file = directory / name / "model.safetensors"
        tensors = load_file(file)
        # Positions count from the id of padding, 1, on.
        tensors["roberta.embeddings.position_embeddings.weight"][2 + FIRST_OVERFLOW :] = HUGE
        save_file(tensors, file)
    return TaskCheckpoints(directory, checkpoints.vocab_file)


def heads_of(checkpoints: TaskCheckpoints) -> dict[str, dict[str, Any]]:
    """Every task with all its options, and generation by drawing and by beams as well."""
    heads = heads_of_every_task(checkpoints)
    generation = heads["continued"]
    return heads | {
        "drawn": generation | {"temperature": 1.5, "top_k": 40, "top_p": 0.9},
        "searched": generation | {"num_beams": 2},
    }


def one_head_a_kind(heads: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One head for each thing that ranks compute."""
    names = ("topic", "simple", "choice", "mean", "maximum", "fill", "sampled", "causal", *GENERATION_HEADS)
    return {name: heads[name] for name in names}


def table_of(tokenizer: XLMRobertaXLTokenizer) -> pa.Table:
    """Short texts everywhere but in the long row; the growing row's prompt ends just before the overflow."""
    short = [" ".join(SENTENCES[i].split()[:6]) for i in range(NUM_ROWS)]
    texts = [LONG if i == LONG_ROW else text for i, text in enumerate(short)]
    prompts = list(texts)
    prompts[GROWING_ROW] = _text_of(tokenizer, FIRST_OVERFLOW - 1)
    columns: dict[str, list[Any]] = dict.fromkeys(
        ("text", "spaced", "unspaced", "premise", "hypothesis", "question", "context", "prompt"), texts
    )
    return pa.table(
        columns
        | {
            "short": prompts,
            "tokens": [text.split() for text in texts],
            "choice1": short,
            "choice2": short[::-1],
            "choices": [[text, "Nobody knew."] for text in short],
            "masked": [f"{text} <mask>" for text in texts],
            "candidates": [["river", "shop"]] * NUM_ROWS,
        }
    )


def _text_of(tokenizer: XLMRobertaXLTokenizer, num_tokens: int) -> str:
    """A text of so many tokens with `<s>`, without `</s>`."""
    texts = (LONG[:end] for end in range(len(LONG)))
    return next(text for text in texts if len(tokenizer.encode(text)) == num_tokens + 1)
