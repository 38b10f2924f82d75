"""Score what an evaluation's folder holds, print it, and write results, tables, report and submission there."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.benchmarks.mt_quality import KIND, left_out
from jobs.evaluate.benchmarks.own_data import NAME, recorded_task
from jobs.evaluate.evaluation_page import evaluation_page
from jobs.evaluate.examples import WHOLE, Benchmark
from jobs.evaluate.folder import EvaluationFolder, EvaluationRecord
from jobs.evaluate.glue_average import glue_averages
from jobs.evaluate.label_order import require_plausible_labels
from jobs.evaluate.labels import (
    OPTION,
    join_labels,
    labels_option,
    require_labels,
    require_names_of_golds,
)
from jobs.evaluate.local_files import write_file
from jobs.evaluate.predictions import read_predictions
from jobs.evaluate.results import EvaluationResult, to_json
from jobs.evaluate.settings import Labels
from jobs.evaluate.submission import glue_submission
from jobs.evaluate.tables import as_csv, as_markdown, print_result
from jobs.evaluate.task_scores import NUM_RESAMPLES, ScoredTask, score_task, task_result
from jobs.report.render import render_page
from pipeline.errors import ConfigError
from pipeline.exit_codes import DONE, PARTLY
from pipeline.output.output_folder import MANIFEST
from pipeline.output.versions import versions
from pipeline.storage.printable import printable

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
    record = relabelled(folder, record, benchmark, labels)
    scored = score_all(folder, benchmark, record, seed)
    for name, task in scored.items():
        if not task.record.labels_as_given:
            require_plausible_labels(task, labels_option(name, record.tasks))
    result = evaluation_result(benchmark, record, scored, seed)
    print_result(result)
    folder.put(RESULTS, (json.dumps(to_json(result), indent=1, ensure_ascii=False) + "\n").encode())
    folder.put(CSV, as_csv(result).encode())
    folder.put(MARKDOWN, as_markdown(result).encode())
    page = render_page(evaluation_page(result, scored)).encode()
    folder.put(REPORT, page)
    if report is not None:
        write_file("--report", report, page)
    written = [RESULTS, CSV, MARKDOWN, REPORT]
    submission = glue_submission(folder, benchmark, record) if benchmark.name == "glue" else None
    if submission is not None:
        folder.put(SUBMISSION, submission.data)
        written.append(SUBMISSION)
        if submission.filled:
            print(f"{SUBMISSION}: filled, as their tasks were not run: {', '.join(submission.filled)}")
        if submission.incomplete:
            print(f"{SUBMISSION}: not complete: {', '.join(submission.incomplete)}")
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


def relabelled(
    folder: EvaluationFolder, record: EvaluationRecord, benchmark: Benchmark, labels: Labels | None
) -> EvaluationRecord:
    """The record with labels given now. Raises ConfigError if they do not fit."""
    if labels is None:
        return record
    if isinstance(labels, str):
        vouched = {name: replace(found, labels_as_given=True) for name, found in record.tasks.items()}
        return replace(record, tasks=vouched)
    if len(record.tasks) > 1:
        names = ", ".join(record.tasks)
        raise ConfigError(
            f"{OPTION}: found for the tasks {names} of {folder.name}, expected one task; run the evaluation again "
            f"with --set tasks.TASK.labels.NAME=LABEL: what is annotated stays"
        )
    [(name, found)] = record.tasks.items()
    require_labels(found.kind)
    task = next(task for task in benchmark.tasks if task.name == name)
    joined = join_labels(task, list(found.labels), labels, found.head)
    examples = {s: read_predictions(folder, name, s, each.sha256).examples for s, each in found.subsets.items()}
    require_names_of_golds(task, examples, joined, found.head)
    return replace(record, tasks={name: replace(found, labels=joined)})


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
    without_gold = [
        f"Without gold labels, so in no figure: {name}" + ("" if subset == WHOLE else f" {printable(subset)}")
        for name, task in record.tasks.items()
        for subset in task.subsets
        if name not in scored or subset not in scored[name].subsets
    ]
    judged = (task.metrics for task in record.tasks.values() if task.kind == KIND)
    return EvaluationResult(
        benchmark=record.benchmark,
        command=record.command,
        seed=seed,
        num_resamples=NUM_RESAMPLES,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions() | {name: version(name) for name in _PACKAGES},
        tasks={name: task_result(task) for name, task in scored.items()},
        averages=glue_averages(scores) if benchmark.name == "glue" else {},
        notes=[*benchmark.notes, *(note for metrics in judged for note in left_out(metrics)), *without_gold],
    )
