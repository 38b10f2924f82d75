"""A small input and output, written by hand as a job would: for the examples of `pipeline/OUTPUT.md`."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.columns import output_schema
from pipeline.fragments import PartName

NUM_DIMENSIONS = 2560
NUM_ROWS = 12
BAD_ROW = 5
_STRUCT = {"label": pa.string(), "score": pa.float32(), "logits": pa.list_(pa.float32())}
_ENTITY = {
    "entity": pa.string(),
    "start": pa.int32(),
    "end": pa.int32(),
    "text": pa.string(),
    "score": pa.float32(),
}
SCHEMA = output_schema(
    pa.schema([("id", pa.int64()), ("lang", pa.string())]),
    {
        "topic": pa.struct(_STRUCT),
        "vector": pa.list_(pa.float32(), NUM_DIMENSIONS),
        "loss": pa.struct({"loss": pa.float64(), "nll": pa.float64(), "num_tokens": pa.int32()}),
        "entities": pa.list_(pa.struct(_ENTITY)),
        "quality": pa.struct({"score": pa.float32()}),
        "backward": pa.struct({"score": pa.float32()}),
    },
)
_PARTS = {"news/a": [(0, 4), (4, 8)], "web/b": [(8, NUM_ROWS)]}


def write_input_and_output(root: Path) -> None:
    """`corpus/` and `annotated/`; rows come nearer to row 0 as their ids do, and are harder to guess the later."""
    for stem, parts in _PARTS.items():
        for folder in ("corpus", "annotated"):
            (root / folder / stem).parent.mkdir(parents=True)
        ids = range(parts[0][0], parts[-1][1])
        texts = [None if i == BAD_ROW else f"Text {i} of Rome" for i in ids]
        langs = [_lang(i) for i in ids]
        pq.write_table(pa.table({"id": ids, "lang": langs, "text": texts}), root / f"corpus/{stem}.parquet")
        for index, (begin, end) in enumerate(parts):
            rows = [_row(i) for i in range(begin, end)]
            part = PartName(stem, "5f2c9a1e", index, len(parts)).path
            pq.write_table(pa.Table.from_pylist(rows, SCHEMA), root / "annotated" / part)
    (root / "annotated/_manifest").mkdir()
    (root / "annotated/_manifest/run.json").write_text("{}", encoding="utf-8")
    (root / "annotated/_SUCCESS").write_text("{}", encoding="utf-8")


def _lang(i: int) -> str:
    return ["en", "de"][i % 2]


def _row(i: int) -> dict[str, Any]:
    row = {"id": i, "lang": _lang(i), "num_tokens": 7, "num_windows": 1}
    if i == BAD_ROW:
        return row | {"num_tokens": 0, "num_windows": 0, "error": "column 'text' is null, expected text"}
    angle = i * math.pi / 2 / NUM_ROWS
    vector = np.zeros(NUM_DIMENSIONS, dtype=np.float32)
    vector[:2] = math.cos(angle), math.sin(angle)
    return row | {
        "topic": {"label": ["sport", "music"][i // 4 % 2], "score": 0.75, "logits": [1.0, -0.1]},
        "vector": vector,
        "loss": {"loss": float(i), "nll": 5.0 * i, "num_tokens": 5},
        "entities": [{"entity": "LOC", "start": 10, "end": 14, "text": "Rome", "score": 0.9}] if i % 2 else [],
        "quality": {"score": (i + 1) / NUM_ROWS},
        "backward": {"score": 0.0 if i == 8 else 0.9},
    }
