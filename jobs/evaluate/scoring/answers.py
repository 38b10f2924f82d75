"""Score extracted answers."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.metrics.mlqa import mlqa_scores
from jobs.evaluate.metrics.squad import squad_scores
from jobs.evaluate.metrics.squad2 import best_metric, raw_scores, scores_at, squad2_figures
from jobs.evaluate.metrics.weighted import Metric, mean_metric
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.subset_scores import SubsetScores


def score_answers(task: BenchmarkTask, labels: Mapping[str, str], rows: Predictions, subset: str) -> SubsetScores:
    """The scores of answers by the task's rules; MLQA's depend on the language, the subset."""
    gold: list[list[str]] = rows.examples[GOLD].to_pylist()
    answers: list[str | None] = rows.field("answer")
    confidence: list[float | None] = rows.field("score")
    more: dict[str, Metric] = {}
    details: dict[str, Any] = {}
    if task.rules == "mlqa":
        scores = mlqa_scores(answers, gold, subset)
    elif task.rules == "squad-1.1":
        scores = squad_scores(answers, gold)
    else:
        odds = [
            None if score is None else null - score
            for null, score in zip(rows.field("null_score"), confidence, strict=True)
        ]
        raw = raw_scores(answers, gold)
        scores = scores_at(raw, answers, gold, odds, 0.0)
        more["best_exact_match"] = best_metric(raw.exact, answers, gold, odds)
        more["best_f1"] = best_metric(raw.f1, answers, gold, odds)
        details = asdict(squad2_figures(answers, gold, odds))
    return SubsetScores(
        metrics={"exact_match": mean_metric(scores.exact), "f1": mean_metric(scores.f1), **more},
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
