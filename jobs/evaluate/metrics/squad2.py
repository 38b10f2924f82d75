"""Exact match and F1 by the rules of SQuAD 2.0, in which questions may have no answer.

Source: evaluate-v2.0.py of Rajpurkar et al. (2018). A question is taken to have no answer where its null odds,
`null_score - score`, exceed a threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.metrics.squad import QuestionScores, normalize, word_f1
from jobs.evaluate.metrics.weighted import Floats, Metric, ratio


@dataclass(frozen=True)
class AnswerFigures:
    """Means over `num_questions`, fractions; 0 where there is none."""

    exact: float
    f1: float
    num_questions: int


@dataclass(frozen=True)
class Best:
    """The greatest figure that a threshold gives, a fraction, and the threshold."""

    figure: float
    threshold: float


@dataclass(frozen=True)
class Squad2Figures:
    """The figures of SQuAD 2.0.

    Attributes:
        all, with_answer, without_answer: at the threshold, of all questions, and of those that have an answer or
            have none.
        best_exact, best_f1: at the best threshold for each.
        num_failed: questions whose prediction is None.
    """

    all: AnswerFigures
    with_answer: AnswerFigures
    without_answer: AnswerFigures
    best_exact: Best
    best_f1: Best
    num_failed: int


def squad2_figures(
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    null_odds: Sequence[float | None],
    threshold: float = 0.0,
) -> Squad2Figures:
    """All figures.

    Args:
        predictions: the best answer that is not empty, whatever its null odds; None for a failed question.
        golds: the gold answers; none of a question without an answer.
        null_odds: `null_score - score`; None for a failed question.
        threshold: of the null odds.
    """
    has_answer = np.array([len(answers) > 0 for answers in golds], dtype=bool)
    raw = raw_scores(predictions, golds)
    scores = scores_at(raw, predictions, golds, null_odds, threshold)
    return Squad2Figures(
        all=_means(scores, np.ones_like(has_answer)),
        with_answer=_means(scores, has_answer),
        without_answer=_means(scores, ~has_answer),
        best_exact=best_threshold(raw.exact, predictions, golds, null_odds),
        best_f1=best_threshold(raw.f1, predictions, golds, null_odds),
        num_failed=sum(prediction is None for prediction in predictions),
    )


def raw_scores(predictions: Sequence[str | None], golds: Sequence[Sequence[str]]) -> QuestionScores:
    """Scores of the predictions as they are, without a threshold; 0 of failed questions, even without an answer.

    Gold answers that are empty after normalization are left out; where none is left, the empty answer is gold.
    """
    exact, f1 = np.zeros(len(golds)), np.zeros(len(golds))
    for n, (prediction, answers) in enumerate(zip(predictions, golds, strict=True)):
        if prediction is not None:
            found = normalize(prediction)
            expected = [answer for answer in map(normalize, answers) if answer] or [""]
            exact[n] = found in expected
            f1[n] = max(_f1(found.split(), answer.split()) for answer in expected)
    return QuestionScores(exact, f1)


def scores_at(
    raw: QuestionScores,
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    null_odds: Sequence[float | None],
    threshold: float,
) -> QuestionScores:
    """Scores where questions with null odds above the threshold get no answer."""
    is_null = np.array([odds is not None and odds > threshold for odds in null_odds], dtype=bool)
    is_null &= _is_there(predictions)
    is_right = np.array([len(answers) == 0 for answers in golds], dtype=np.float64)
    return QuestionScores(np.where(is_null, is_right, raw.exact), np.where(is_null, is_right, raw.f1))


def best_threshold(
    raw: Floats,
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    null_odds: Sequence[float | None],
) -> Best:
    """The best mean of raw scores that a threshold gives, and that threshold.

    As in the source: questions are answered one by one in the order of their null odds, also those of equal odds;
    any answer to a question without one costs 1; where no answer at all is best, the threshold is 0.
    """
    right_without, gains, order = _gains(raw, predictions, golds, null_odds)
    sums = np.cumsum(np.concatenate([[right_without.sum()], gains[order]]))
    best = int(np.argmax(sums))  # the first of equal ones
    threshold = null_odds[order[best - 1]] if best else 0.0
    assert threshold is not None
    return Best(float(sums[best]) / len(raw), float(threshold))


def best_metric(
    raw: Floats,
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    null_odds: Sequence[float | None],
) -> Metric:
    """The figure of `best_threshold`, with the threshold that is best in each resample."""
    right_without, gains, order = _gains(raw, predictions, golds, null_odds)

    def of_weights(weights_RN: Floats) -> Floats:
        gained = np.cumsum(weights_RN[:, order] * gains[order], axis=1)
        best = gained.max(axis=1, initial=0.0) + (weights_RN * right_without).sum(axis=1)
        return ratio(best, weights_RN.sum(axis=1))

    return Metric(len(raw), of_weights)


def _gains(
    raw: Floats,
    predictions: Sequence[str | None],
    golds: Sequence[Sequence[str]],
    null_odds: Sequence[float | None],
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """What each question adds unanswered, what more it adds answered, and the order in which they are answered.

    Failed questions add nothing, and are not in the order.
    """
    is_there = _is_there(predictions)
    has_answer = np.array([len(answers) > 0 for answers in golds], dtype=bool)
    is_answered = np.array([bool(prediction) for prediction in predictions], dtype=bool)
    gains = np.where(has_answer, raw, -is_answered.astype(np.float64))
    there = np.flatnonzero(is_there)
    odds = np.array([null_odds[n] for n in there.tolist()], dtype=np.float64)
    return (~has_answer & is_there).astype(np.float64), gains, there[np.argsort(odds, kind="stable")]


def _f1(found: Sequence[str], expected: Sequence[str]) -> float:
    """F1 of two bags of words; 1 where both are empty."""
    return word_f1(found, expected) if found and expected else float(found == expected)


def _is_there(predictions: Sequence[str | None]) -> NDArray[np.bool_]:
    return np.array([prediction is not None for prediction in predictions], dtype=bool)


def _means(scores: QuestionScores, mask: NDArray[np.bool_]) -> AnswerFigures:
    num = int(mask.sum())
    exact, f1 = (float(values[mask].sum()) / num if num else 0.0 for values in (scores.exact, scores.f1))
    return AnswerFigures(exact, f1, num)
