"""Score extracted answers."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow.compute as pc

from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.metrics.mlqa import mlqa_scores
from jobs.evaluate.metrics.squad import QuestionScores, squad_scores
from jobs.evaluate.metrics.squad2 import raw_scores, scores_at, squad2_figures
from jobs.evaluate.metrics.weighted import mean_metric
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores


def score_answers(task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str) -> SubsetScores:
    """The scores of answers by the task's rules; MLQA's depend on the language, the subset."""
    gold: list[list[str]] = rows.examples[GOLD].to_pylist()
    answers: list[str | None] = [None] * len(gold)
    margins: list[float | None] = [None] * len(gold)
    confidence: list[float | None] = [None] * len(gold)
    if rows.prediction.null_count < len(gold):
        answers = pc.struct_field(rows.prediction, "answer").to_pylist()
        confidence = pc.struct_field(rows.prediction, "score").to_pylist()
        null_score = pc.struct_field(rows.prediction, "null_score")
        margins = pc.subtract(null_score, pc.struct_field(rows.prediction, "score")).to_pylist()
    scores, details = _by_rules(task, answers, gold, margins, subset)
    return SubsetScores(
        metrics={"exact_match": mean_metric(scores.exact), "f1": mean_metric(scores.f1)},
        baseline={},
        quality=scores.f1,
        quality_name="F1",
        gold=[" / ".join(dict.fromkeys(row)) or "(no answer)" for row in gold],
        predicted=answers,
        confidence=confidence,
        groups=rows.examples["context"].to_pylist(),
        details=details,
        exact=scores.exact,
    )


def _by_rules(
    task: BenchmarkTask,
    answers: list[str | None],
    gold: list[list[str]],
    margins: list[float | None],
    subset: str,
) -> tuple[QuestionScores, dict[str, Any]]:
    if task.rules == "mlqa":
        return mlqa_scores(answers, gold, subset), {}
    if task.rules == "squad-1.1":
        return squad_scores(answers, gold), {}
    raw = raw_scores(answers, gold)
    return scores_at(raw, answers, gold, margins, 0.0), asdict(squad2_figures(answers, gold, margins))
