"""A small corpus in Parquet with everything that real ones have, a model for it, and jobs over both."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load_file, save_file

from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

LABELS = {0: "sport", 1: "politics", 2: "music"}
GENRES = {0: "poem", 1: "letter"}
# Texts that cannot be read, and what is said of them.
PROBLEMS: dict[str | None, str] = {
    None: "is null",
    "": "is empty",
    " \n\t": "is blank",
    "\u200b": "has nothing but invisible characters",
}
MAX_FRAGMENT_ROWS = 6
TOKEN_BUDGET = 1024
NUM_LONG_ROWS = 3
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("lang", pa.string()),
        ("text", pa.string()),
        ("hypothesis", pa.string()),
        ("heads", pa.list_(pa.string())),
        ("source", pa.struct([("url", pa.string()), ("fetched", pa.timestamp("us"))])),
    ]
)
# What rows ask for, in turn, where a job reads the column.
ROUTES: tuple[list[str] | None, ...] = (
    None,
    ["topic"],
    ["vector", "loss"],
    [],
    ["genres", "topic"],
    ["loss"],
    ["topics"],
)


@dataclass(frozen=True)
class Corpus:
    """Where it lies, and its rows by the path of their file below `inputs`."""

    root: Path
    files: dict[str, pa.Table]

    @property
    def inputs(self) -> Path:
        return self.root / "in"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def other_model(self) -> Path:
        return self.root / "other"

    @property
    def genres(self) -> Path:
        """A head alone, without the trunk that it was trained on."""
        return self.root / "genres"

    @property
    def num_rows(self) -> int:
        return sum(table.num_rows for table in self.files.values())


def write_corpus(root: Path) -> Corpus:
    """Files two folders deep with several row groups; one of bad rows alone, and one without rows."""
    bad = list(PROBLEMS)
    long = [" ".join(SENTENCES[i:] + SENTENCES[:i]) for i in range(NUM_LONG_ROWS)]
    texts: dict[str, list[str | None]] = {
        "news/2024/a.parquet": [*SENTENCES, *SENTENCES[::-1], *SENTENCES[::2]],
        "news/2025/b.parquet": [*bad, *SENTENCES, *bad, *long, *SENTENCES[1::2]],
        "web/bad.parquet": bad,
        "web/none.parquet": [],
    }
    corpus = Corpus(root, {path: _table(rows) for path, rows in texts.items()})
    for i, (path, table) in enumerate(corpus.files.items()):
        file = corpus.inputs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file, row_group_size=[30, 7, 100, 1][i])
    tiny_checkpoint(corpus.model, id2label=LABELS)
    tiny_checkpoint(corpus.other_model, seed=1)
    tiny_checkpoint(corpus.genres, seed=2, id2label=GENRES, problem_type="multi_label_classification")
    _keep_head_only(corpus.genres)
    return corpus


def _keep_head_only(directory: Path) -> None:
    file = directory / "model.safetensors"
    save_file({n: t for n, t in load_file(file).items() if n.startswith("classifier.")}, file)


def _table(texts: list[str | None]) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "id": i,
            "lang": ["de", None, "sw"][i % 3],
            "text": text,
            "hypothesis": SENTENCES[-1 - i % len(SENTENCES)],
            "heads": ROUTES[i % len(ROUTES)],
            "source": None if i % 5 == 0 else {"url": f"http://host/{i}", "fetched": None},
        }
        for i, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def job_of(corpus: Corpus) -> dict[str, Any]:
    """One head of each kind on the first trunk, one of them on pairs, and one on a trunk of its own."""
    return {
        "model": {
            "path": str(corpus.model),
            "dtype": "float32",
            "device": "cpu",
            "token_budget": TOKEN_BUDGET,
            # The same on any cluster, and so the same bytes.
            "cpus_per_rank": 1,
        },
        "input": {"path": str(corpus.inputs), "max_fragment_rows": MAX_FRAGMENT_ROWS},
        "output": {"path": str(corpus.root / "out")},
        "heads": {
            "topic": {"task": "text-classification", "truncate": True},
            "genres": {
                "task": "text-classification",
                "weights": str(corpus.genres),
                "text_pair": "hypothesis",
                "truncate": True,
            },
            "vector": {"task": "embedding", "truncate": True},
            "pooled": {
                "task": "embedding",
                "trunk": str(corpus.other_model),
                "weights": str(corpus.other_model),
                "pooling": "pooler",
                "normalize": False,
                "truncate": True,
            },
            "loss": {"task": "masked-lm-loss", "mask_probability": 0.3, "seed": 5, "truncate": True},
        },
    }


def write_job(path: Path, job: dict[str, Any]) -> Path:
    """A job as the TOML file that a user would write."""
    path.write_text("\n".join(_toml(job)), encoding="utf-8")
    return path


def _toml(tables: dict[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in tables.items():
        if not isinstance(value, dict):
            lines.append(f"{name} = {json.dumps(value)}")
    for name, value in tables.items():
        if isinstance(value, dict):
            lines += ["", f"[{prefix}{name}]", *_toml(value, f"{prefix}{name}.")]
    return lines
