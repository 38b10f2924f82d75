"""One job with every task on real rows, run in this process or on the ranks of a shard group."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from model import ShardGroup
from tests.parity.tasks.rows import CANDIDATES
from tests.pipeline_in_process import annotate_in_process
from tests.task_checkpoints import TaskCheckpoints

NUM_NEW_TOKENS = 4
ANSWER_WINDOWS = {"window": 96, "stride": 40}
NUM_GUESSES = 3
TEMPLATE = "This is about {}, is it not?"


def heads_of_every_task(checkpoints: TaskCheckpoints) -> dict[str, dict[str, Any]]:
    """The `[heads]` of the job, which reads the columns of `rows.real_rows`."""
    path = checkpoints.path
    decoder = {"trunk": path("decoder"), "weights": path("decoder")}
    classes = {"task": "text-classification"}
    entities = {"task": "token-classification", "weights": path("entities"), "text": "spaced"}
    words = {"task": "token-classification", "weights": path("words"), "words": "tokens"}
    answers = {"task": "question-answering", "weights": path("answer")}
    choices = {"task": "multiple-choice", "weights": path("choice")}
    zero_shot = {"task": "zero-shot-classification", "weights": path("nli"), "text": "premise"}
    vector = {"task": "embedding"}
    masked = {"task": "masked-lm-loss"}
    return {
        "topic": classes | {"weights": path("topic")},
        "tags": classes | {"weights": path("tags")},
        "value": classes | {"weights": path("value")},
        "own": classes | {"weights": path("own"), "trunk": path("own")},
        "entails": classes | {"weights": path("nli"), "text": "premise", "text_pair": "hypothesis"},
        "simple": entities | {"aggregation": "simple"},
        "first": entities | {"aggregation": "first"},
        "average": entities | {"aggregation": "average"},
        "max": entities | {"aggregation": "max"},
        "unspaced_entities": entities | {"text": "unspaced"},
        "words": words,
        "words_average": words | {"aggregation": "average"},
        "words_max": words | {"aggregation": "max"},
        "answer": answers,
        "short_answer": answers | {"max_answer_tokens": 3},
        "answer_in_windows": answers | ANSWER_WINDOWS,
        "choice": choices,
        "choice_columns": choices | {"choices": ["choice1", "choice2"]},
        "mean": vector,
        "cls": vector | {"pooling": "cls"},
        "maximum": vector | {"pooling": "max"},
        "pooler": vector | {"pooling": "pooler", "weights": path("choice"), "normalize": False},
        "half": vector | {"dimensions": 16, "dtype": "float16"},
        "int8": vector | {"dtype": "int8"},
        "bits": vector | {"dtype": "ubinary", "pooling": "cls"},
        "token_vectors": vector | {"level": "token", "normalize": False},
        "early": vector | {"layer": 1},
        "layers": vector | {"layers": "all", "pooling": "cls", "normalize": False},
        "token_layers": vector | {"layers": [-1, 0], "level": "token", "normalize": False},
        "fill": {"task": "fill-mask", "text": "masked", "top_k": NUM_GUESSES},
        "sampled": masked,
        "seeded": masked | {"mask_probability": 0.4, "seed": 3, "text": "short"},
        "every": masked | {"strategy": "all", "text": "short"},
        "causal": {"task": "causal-lm-loss", "text": "short"} | decoder,
        "continued": {"task": "text-generation", "text": "short", "max_new_tokens": NUM_NEW_TOKENS} | decoder,
        "zero_shot": zero_shot | {"labels": list(CANDIDATES), "hypothesis_template": TEMPLATE},
        "zero_shot_each": zero_shot | {"labels_column": "candidates", "multi_label": True},
        "zero_shot_column": zero_shot | {"labels_column": "candidates"},
    }


def annotate(
    group: ShardGroup, directory: Path, table: pa.Table, heads: dict[str, Any], model: Path
) -> list[dict[str, Any]]:
    """The output's rows; with a larger group, what each of its ranks would write."""
    output, _ = annotate_in_process(directory, table, heads, model, group=group)
    rows: list[dict[str, Any]] = output.to_pylist()
    return rows
