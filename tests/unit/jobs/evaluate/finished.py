"""Folders of evaluations as an annotation leaves them, without one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.evaluate.examples import GOLD, ROW, SCHEMAS, BenchmarkTask
from jobs.evaluate.folder import FORMAT, EvaluationFolder, EvaluationRecord, SubsetRecord, TaskRecord, file_stem

CLASS = pa.struct([("label", pa.string()), ("score", pa.float32()), ("logits", pa.list_(pa.float32()))])
VALUE = pa.struct([("value", pa.float32())])
CHOICE = pa.struct(
    [("choice", pa.int32()), ("scores", pa.list_(pa.float32())), ("logits", pa.list_(pa.float32()))]
)
ANSWER = pa.struct(
    [
        *((name, pa.string()) for name in ("answer",)),
        *((name, pa.int32()) for name in ("start", "end")),
        *((name, pa.float32()) for name in ("score", "null_score")),
    ]
)
WORDS = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))
TYPES = {
    "classification": CLASS,
    "regression": VALUE,
    "multiple-choice": CHOICE,
    "question-answering": ANSWER,
    "words": WORDS,
}


def examples_of(task: BenchmarkTask, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Prepared examples; columns that are not given are null."""
    num_rows = len(columns[GOLD])
    filled = {
        field.name: pa.array(columns.get(field.name, [None] * num_rows), field.type)
        for field in SCHEMAS[task.kind]
    }
    filled[ROW] = pa.array(range(num_rows), pa.int64())
    return pa.table(filled)


def write_evaluation(
    path: Path,
    benchmark: str,
    task: BenchmarkTask,
    subsets: Mapping[str, tuple[pa.Table, Sequence[Any]]],
    *,
    labels: Mapping[str, str] | None = None,
    split: str = "test",
    rows_lost: int = 0,
) -> EvaluationFolder:
    """Write examples, parts with predictions (None: the row failed), and the record beside earlier tasks.

    `rows_lost`: of each subset the last rows, whose fragment failed, are in no part.
    """
    folder = EvaluationFolder.open(str(path))
    records = {}
    for subset, (examples, predictions) in subsets.items():
        sha256 = folder.write_examples(task.name, subset, examples)
        prediction = pa.array(predictions, TYPES[task.kind])
        error = pa.array([None if found is not None else "no text" for found in predictions], pa.string())
        tokens = pa.array([7] * len(predictions), pa.int32())
        part = examples.append_column("prediction", prediction).append_column("error", error)
        part = part.append_column("num_tokens", tokens)
        (path / task.name).mkdir(parents=True, exist_ok=True)
        name = f"{file_stem(subset)}.0123abcd.00000-of-00001.parquet"
        pq.write_table(part.slice(0, part.num_rows - rows_lost), path / task.name / name)
        num_gold = examples.num_rows - examples[GOLD].null_count
        records[subset] = SubsetRecord(examples.num_rows, num_gold, sha256)
    record = TaskRecord(
        kind=task.kind,
        metrics=task.metrics,
        rules=task.rules,
        split=split,
        model="models/trunk",
        head="heads/it",
        labels=dict(labels or {name: name for name in task.labels}),
        labels_as_given=False,
        subsets=records,
        missing=tuple(name for name in task.subsets if name not in subsets),
        options={},
        identity={"code": "0"},
    )
    tasks = dict(folder.record().tasks) if folder.has_record else {}
    folder.write_record(EvaluationRecord(FORMAT, benchmark, "xlmr-evaluate …", {**tasks, task.name: record}))
    return folder


def classes(labels: Sequence[str | None], score: float = 0.75) -> list[dict[str, Any] | None]:
    """Predictions of class labels."""
    return [None if label is None else {"label": label, "score": score, "logits": [0.0, 1.0]} for label in labels]
