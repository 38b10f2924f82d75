"""Score what an evaluation's folder holds, print it, and write results, tables, report and submission there."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from jobs.annotate.exit_report import DONE, PARTLY
from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.benchmarks.own_data import NAME, recorded_task
from jobs.evaluate.evaluation_page import evaluation_page
from jobs.evaluate.examples import Benchmark
from jobs.evaluate.folder import EvaluationFolder, EvaluationRecord
from jobs.evaluate.glue_average import glue_averages
from jobs.evaluate.label_order import require_plausible_labels
from jobs.evaluate.labels import join_labels
from jobs.evaluate.results import EvaluationResult, to_json
from jobs.evaluate.settings import AS_GIVEN, Labels
from jobs.evaluate.submission import glue_submission
from jobs.evaluate.tables import as_csv, as_markdown, print_result
from jobs.evaluate.task_scores import NUM_RESAMPLES, ScoredTask, score_task, task_result
from jobs.report.render import render_page
from pipeline.output.output_folder import MANIFEST
from pipeline.output.versions import versions

RESULTS, CSV, MARKDOWN = f"{MANIFEST}/results.json", f"{MANIFEST}/results.csv", f"{MANIFEST}/results.md"
REPORT, SUBMISSION = f"{MANIFEST}/report.html", f"{MANIFEST}/glue-submission.zip"
_PACKAGES = ("numpy", "scikit-learn", "scipy", "seqeval")


def publish(path: str, *, seed: int, report: str | None, labels: Labels | None) -> int:
    """Score the predictions at a path or URI and write what came of it; returns the exit code.

    `labels` stand in place of those that were given when it was annotated. Raises ConfigError where the labels of
    a head are in doubt, before anything is printed.
    """
    folder = EvaluationFolder.open(path)
    record = folder.record()
    benchmark = benchmark_of(record)
    record = relabelled(record, benchmark, labels)
    scored = score_all(folder, benchmark, record, seed)
    for task in scored.values():
        if not task.record.labels_as_given:
            require_plausible_labels(task)
    result = evaluation_result(benchmark, record, scored, seed)
    print_result(result)
    folder.put(RESULTS, (json.dumps(to_json(result), indent=1, ensure_ascii=False) + "\n").encode())
    folder.put(CSV, as_csv(result).encode())
    folder.put(MARKDOWN, as_markdown(result).encode())
    page = render_page(evaluation_page(result, scored)).encode()
    folder.put(REPORT, page)
    if report is not None:
        Path(report).write_bytes(page)
    written = [RESULTS, CSV, MARKDOWN, REPORT]
    if benchmark.name == "glue":
        found = glue_submission(folder, benchmark, record)
        if found is not None:
            data, filled = found
            folder.put(SUBMISSION, data)
            written.append(SUBMISSION)
            if filled:
                print(f"{SUBMISSION}: filled, as their tasks were not run: {', '.join(filled)}")
    print(f"written to {folder.name}: {', '.join(written)}")
    has_failed = any(each.rows.failed for task in scored.values() for each in task.subsets.values())
    return PARTLY if has_failed else DONE


def benchmark_of(record: EvaluationRecord) -> Benchmark:
    """The benchmark that was evaluated."""
    name = record.benchmark.partition("/")[0]
    if NAME in record.tasks:
        own = record.tasks[NAME]
        return Benchmark(name, (recorded_task(own.kind, own.metrics, own.rules, tuple(own.subsets)),))
    return BENCHMARKS[name]


def relabelled(record: EvaluationRecord, benchmark: Benchmark, labels: Labels | None) -> EvaluationRecord:
    """The record with labels given now. Raises ConfigError if they do not fit."""
    if labels is None:
        return record
    tasks = {}
    for task in benchmark.tasks:
        if task.name not in record.tasks:
            continue
        found = record.tasks[task.name]
        if labels == AS_GIVEN:
            tasks[task.name] = replace(found, labels_as_given=True)
        elif isinstance(labels, dict) and found.labels:
            tasks[task.name] = replace(found, labels=join_labels(task, list(found.labels), labels, found.head))
        else:
            tasks[task.name] = found
    return replace(record, tasks=tasks)


def score_all(
    folder: EvaluationFolder, benchmark: Benchmark, record: EvaluationRecord, seed: int
) -> dict[str, ScoredTask]:
    """The scored tasks that have golds, in the order of the benchmark."""
    chosen = [task for task in benchmark.tasks if task.name in record.tasks]
    scored = {task.name: score_task(folder, task, record.tasks[task.name], seed) for task in chosen}
    return {name: found for name, found in scored.items() if found is not None}


def evaluation_result(
    benchmark: Benchmark, record: EvaluationRecord, scored: Mapping[str, ScoredTask], seed: int
) -> EvaluationResult:
    """All results as plain data."""
    scores = {name: task.score for name, task in scored.items()}
    return EvaluationResult(
        benchmark=record.benchmark,
        command=record.command,
        seed=seed,
        num_resamples=NUM_RESAMPLES,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions() | {name: version(name) for name in _PACKAGES},
        tasks={name: task_result(task) for name, task in scored.items()},
        averages=glue_averages(scores) if benchmark.name == "glue" else {},
        notes=benchmark.notes,
    )
