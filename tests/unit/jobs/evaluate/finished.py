"""Folders of evaluations as an annotation leaves them, without one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.benchmarks.own_data import recorded_task
from jobs.evaluate.examples import GOLD, ROW, SCHEMAS, BenchmarkTask, Kind, Rules
from jobs.evaluate.folder import FORMAT, EvaluationFolder, EvaluationRecord, SubsetRecord, TaskRecord, file_stem
from jobs.evaluate.outcome import benchmark_of, evaluation_result, score_all
from jobs.evaluate.results import EvaluationResult, to_json
from jobs.evaluate.task_scores import ScoredTask

CLASS = pa.struct([("label", pa.string()), ("score", pa.float32()), ("logits", pa.list_(pa.float32()))])
LABEL_SET = pa.struct(
    [("labels", pa.list_(pa.string())), ("scores", pa.list_(pa.float32())), ("logits", pa.list_(pa.float32()))]
)
VALUE = pa.struct([("value", pa.float32())])
CHOICE = pa.struct(
    [("choice", pa.int32()), ("scores", pa.list_(pa.float32())), ("logits", pa.list_(pa.float32()))]
)
ANSWER = pa.struct(
    [
        ("answer", pa.string()),
        *((name, pa.int32()) for name in ("start", "end")),
        *((name, pa.float32()) for name in ("score", "null_score")),
    ]
)
QUALITY = pa.struct([("score", pa.float32())])
WORDS = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())]))
TYPES = {
    "classification": CLASS,
    "multi-label": LABEL_SET,
    "regression": VALUE,
    "multiple-choice": CHOICE,
    "question-answering": ANSWER,
    "words": WORDS,
    "translation-quality": QUALITY,
}


def task_of(benchmark: str, name: str | None = None) -> BenchmarkTask:
    """A task of a benchmark, the first one unless it is named."""
    return next(task for task in BENCHMARKS[benchmark].tasks if name in (None, task.name))


def own_task_of(kind: Kind, *metrics: str, rules: Rules | None = None) -> BenchmarkTask:
    """A task on data of one's own."""
    return recorded_task(kind, metrics, rules, ())


def examples_of(task: BenchmarkTask, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Prepared examples; columns that are not given are null."""
    num_rows = len(columns[GOLD])
    filled = {
        field.name: pa.array(columns.get(field.name, [None] * num_rows), field.type)
        for field in SCHEMAS[task.kind]
    }
    filled[ROW] = pa.array(range(num_rows), pa.int64())
    return pa.table(filled)


def part_of(task: BenchmarkTask, examples: pa.Table, predictions: Sequence[Any]) -> pa.Table:
    """Examples with their predictions as a part has them; rows without one have failed."""
    error = pa.array([None if found is not None else "no text" for found in predictions], pa.string())
    columns = {
        "prediction": pa.array(predictions, TYPES[task.kind]),
        "error": error,
        "num_tokens": pa.array([7] * len(predictions), pa.int32()),
    }
    for name, column in columns.items():
        examples = examples.append_column(name, column)
    return examples


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
        part = part_of(task, examples, predictions)
        (path / task.name).mkdir(parents=True, exist_ok=True)
        name = part_name(subset)
        pq.write_table(part.slice(0, part.num_rows - rows_lost), path / task.name / name)
        num_gold = examples.num_rows - examples[GOLD].null_count
        records[subset] = SubsetRecord(examples.num_rows, num_gold, sha256)
    record = TaskRecord(
        kind=task.kind,
        metrics=task.metrics,
        rules=task.rules,
        split=split,
        limit=None,
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


def part_name(subset: str, index: int = 0, num_parts: int = 1, version: str = "0123abcd") -> str:
    """The name of a part's file."""
    return f"{file_stem(subset)}.{version}.{index:05d}-of-{num_parts:05d}.parquet"


def scored_folder(path: Path) -> tuple[EvaluationResult, dict[str, ScoredTask]]:
    """The results that a folder leads to, and the scored rows, without writing anything."""
    folder = EvaluationFolder.open(str(path))
    record = folder.record()
    benchmark = benchmark_of(record)
    scored = score_all(folder, benchmark, record, 0)
    return evaluation_result(benchmark, record, scored, 0), scored


def results_of(path: Path) -> dict[str, Any]:
    """The content of the results.json that a folder leads to."""
    found: dict[str, Any] = json.loads(json.dumps(to_json(scored_folder(path)[0]), allow_nan=False))
    return found


def subset_of(path: Path, task: BenchmarkTask, subset: str = "all") -> Any:
    """The results of a subset of a folder."""
    return results_of(path)["tasks"][task.name]["subsets"][subset]


def classes(labels: Sequence[str | None], score: float = 0.75) -> list[dict[str, Any] | None]:
    """Predictions of class labels."""
    return [None if label is None else {"label": label, "score": score, "logits": [0.0, 1.0]} for label in labels]


def answers(
    texts: Sequence[str | None], scores: Sequence[float] | None = None, null_scores: Sequence[float] | None = None
) -> list[dict[str, Any] | None]:
    """Predictions of answers."""
    found = zip(texts, scores or [0.0] * len(texts), null_scores or [0.0] * len(texts), strict=True)
    return [
        None if text is None else {"answer": text, "start": 0, "end": 1, "score": score, "null_score": null}
        for text, score, null in found
    ]


def choices(numbers: Sequence[int | None]) -> list[dict[str, Any] | None]:
    """Predictions of one choice of two."""
    return [
        None if n is None else {"choice": n, "scores": [0.25, 0.75][:: 1 if n else -1], "logits": [0.0, 1.0]}
        for n in numbers
    ]


def words(rows: Sequence[Sequence[str | None] | None]) -> list[list[dict[str, Any]] | None]:
    """Predictions of word labels."""
    return [None if row is None else [{"label": label, "score": 0.5} for label in row] for row in rows]


def label_sets(rows: Sequence[Sequence[float] | None]) -> list[dict[str, Any] | None]:
    """Predictions of several labels by their scores."""
    return [None if row is None else {"labels": [], "scores": list(row), "logits": []} for row in rows]


def values(numbers: Sequence[float | None]) -> list[dict[str, Any] | None]:
    """Predictions of values."""
    return [None if number is None else {"value": number} for number in numbers]


def qualities(scores: Sequence[float | None]) -> list[dict[str, Any] | None]:
    """Predictions of the quality of translations."""
    return [None if score is None else {"score": score} for score in scores]
