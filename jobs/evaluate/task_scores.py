"""Score a task: every subset, the averages over them, and their intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jobs.evaluate.benchmarks.own_data import NAME
from jobs.evaluate.examples import BenchmarkTask
from jobs.evaluate.folder import EvaluationFolder, TaskRecord
from jobs.evaluate.metrics.bootstrap import Draws, resample
from jobs.evaluate.predictions import Predictions, read_predictions
from jobs.evaluate.results import AverageResult, Measured, SubsetResult, TaskResult, mean_of
from jobs.evaluate.scoring.all_kinds import SCORERS
from jobs.evaluate.scoring.subset_scores import SubsetScores

NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class ScoredSubset:
    """A subset's rows with a gold, their scores, and its figures by metric with their resamples."""

    rows: Predictions
    scores: SubsetScores
    measured: Mapping[str, Measured]


@dataclass(frozen=True)
class ScoredTask:
    """A task with the subsets that have a gold; `score` is the mean of official metrics over subsets."""

    task: BenchmarkTask
    record: TaskRecord
    subsets: Mapping[str, ScoredSubset]

    @property
    def score(self) -> Measured:
        """The mean over subsets of each official metric, then the mean over metrics."""
        return mean_of(
            [mean_of([each.measured[metric] for each in self.subsets.values()]) for metric in self.task.metrics]
        )


def score_task(
    folder: EvaluationFolder,
    task: BenchmarkTask,
    record: TaskRecord,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
) -> ScoredTask | None:
    """The scores of a task's predictions in a folder; None where no row has a gold.

    Rows of a parallel benchmark are drawn alike in all subsets, so that the interval of the mean is right.
    """
    found = {}
    for subset, each in record.subsets.items():
        rows = read_predictions(folder, task.name, subset, each.sha256).with_gold
        if rows.examples.num_rows == 0:
            continue
        scores = SCORERS[task.kind](task, record.labels, rows, subset)
        stream = task.name if task.is_parallel else f"{task.name}/{subset}"
        draws = Draws(rows.examples.num_rows, scores.groups, num_resamples, seed, stream)
        resampled = resample(list(scores.metrics.values()), draws)
        measured = {
            name: Measured(metric.value(), values)
            for (name, metric), values in zip(scores.metrics.items(), resampled, strict=True)
        }
        found[subset] = ScoredSubset(rows, scores, measured)
    return ScoredTask(task, record, found) if found else None


def task_result(scored: ScoredTask) -> TaskResult:
    """The results of a scored task as plain data. Published rows of another split are left out."""
    task, record = scored.task, scored.record
    return TaskResult(
        kind=task.kind,
        split=record.split,
        metrics=task.metrics,
        model=record.model,
        head=record.head,
        labels=record.labels,
        options=record.options,
        identity=record.identity,
        missing=[*record.missing, *(name for name in record.subsets if name not in scored.subsets)],
        score=None if task.name == NAME else scored.score.figure,
        subsets={name: _subset_result(each, record.subsets[name].sha256) for name, each in scored.subsets.items()},
        averages=_averages(scored),
        limit=record.limit,
        published=[] if record.limit is not None else [row for row in task.published if row.split == record.split],
    )


def _subset_result(scored: ScoredSubset, data_sha256: str) -> SubsetResult:
    return SubsetResult(
        num_rows=scored.rows.examples.num_rows,
        failed=scored.rows.failed,
        data_sha256=data_sha256,
        figures={name: measured.figure for name, measured in scored.measured.items()},
        baseline=scored.scores.baseline,
        details=scored.scores.details,
    )


def _averages(scored: ScoredTask) -> dict[str, AverageResult]:
    """The task's averages over more than one subset, each set of subsets once."""
    found: dict[str, AverageResult] = {}
    for average in scored.task.averages:
        names = [name for name in scored.subsets if name not in average.excluded]
        if len(names) < 2 or any(names == earlier.subsets for earlier in found.values()):
            continue
        chosen = [scored.subsets[name] for name in names]
        baselines = set.intersection(*(set(each.scores.baseline) for each in chosen))
        found[average.name] = AverageResult(
            subsets=names,
            figures={m: mean_of([each.measured[m] for each in chosen]).figure for m in chosen[0].measured},
            baseline={m: float(np.mean([each.scores.baseline[m] for each in chosen])) for m in sorted(baselines)},
        )
    return found
