"""Write small Parquet files as the hub's exports have them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SHARD = "{}-00000-of-00001.parquet"
NLI = ("entailment", "neutral", "contradiction")


def class_label(*names: str) -> dict[str, Any]:
    """The feature of a column of class ids."""
    return {"names": list(names), "_type": "ClassLabel"}


def write(path: Path, columns: dict[str, Any] | pa.Table, features: dict[str, Any] | None = None) -> Path:
    """Write a file in row groups of two rows, with the features of the hub's library if they are given."""
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=2)
    return path


def nli(text: str = "p", labels: tuple[int | None, ...] = (0, 1, 2)) -> dict[str, Any]:
    """Columns of XNLI, with as many rows as labels."""
    return {
        "premise": [f"{text}{row}" for row in range(len(labels))],
        "hypothesis": [f"{text}{row}?" for row in range(len(labels))],
        "label": pa.array(labels, pa.int64()),
    }


def squad(ids: tuple[str, ...] = ("a", "b"), answers: tuple[list[str], ...] = (["x"], ["y", "z"])) -> pa.Table:
    """Columns of SQuAD."""
    texts = [{"text": texts, "answer_start": [0] * len(texts)} for texts in answers]
    type_ = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})
    return pa.table(
        {
            "id": list(ids),
            "title": ["t"] * len(ids),
            "context": [f"c {id_}" for id_ in ids],
            "question": [f"q {id_}" for id_ in ids],
            "answers": pa.array(texts, type_),
        }
    )
