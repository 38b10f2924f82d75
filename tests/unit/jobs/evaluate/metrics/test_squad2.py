"""SQuAD 2.0's rules against a restatement of the official script, the copy in Transformers, and by hand."""

import random
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

pytest.importorskip("scipy")

from jobs.evaluate.metrics.squad2 import Best, raw_scores, squad2_figures
from tests.unit.jobs.evaluate.metrics.official_rules import squad2_best, squad2_raw
from tests.unit.jobs.evaluate.metrics.random_answers import PIECES, random_question

Questions = tuple[list[str | None], list[list[str]], list[float | None]]


def random_questions(seed: int) -> Questions:
    """Predictions, gold answers and null odds, of which some are equal."""
    rng = random.Random(seed)
    language = rng.choice(list(PIECES))
    predictions, golds, odds = [], [], []
    for _ in range(rng.randint(1, 12)):
        prediction, answers = random_question(rng, language)
        predictions.append(prediction)
        golds.append(answers if rng.random() < 0.6 else [])
        odds.append(None if prediction is None else float(rng.randint(-4, 4)) / 2)
    return predictions, golds, odds


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def test_figures_are_those_of_the_official_script() -> None:
    for seed in range(1000):
        predictions, golds, odds = random_questions(seed)
        figures = squad2_figures(predictions, golds, odds)
        raw = [squad2_raw(prediction, answers) for prediction, answers in zip(predictions, golds, strict=True)]
        is_null = [value is not None and value > 0 for value in odds]
        at_zero = [
            (float(not answers),) * 2 if null else scores
            for scores, answers, null in zip(raw, golds, is_null, strict=True)
        ]
        for found, keep in ((figures.with_answer, True), (figures.without_answer, False)):
            kept = [scores for scores, answers in zip(at_zero, golds, strict=True) if bool(answers) is keep]
            assert found.num_questions == len(kept)
            assert found.exact == pytest.approx(mean([exact for exact, _ in kept]), abs=1e-12)
            assert found.f1 == pytest.approx(mean([f1 for _, f1 in kept]), abs=1e-12)
        assert figures.all.exact == pytest.approx(mean([exact for exact, _ in at_zero]), abs=1e-12)
        assert figures.all.f1 == pytest.approx(mean([f1 for _, f1 in at_zero]), abs=1e-12)
        known = [0.0 if value is None else value for value in odds]
        for place, best in ((0, figures.best_exact), (1, figures.best_f1)):
            expected = squad2_best([scores[place] for scores in raw], predictions, golds, known)
            assert (best.figure, best.threshold) == pytest.approx(expected, abs=1e-12)


def test_figures_are_those_of_transformers() -> None:
    squad_metrics = pytest.importorskip("transformers.data.metrics.squad_metrics")
    for seed in range(300):
        predictions, golds, odds = random_questions(seed)
        answered = [n for n, prediction in enumerate(predictions) if prediction is not None]
        if not answered:
            continue
        examples = [SimpleNamespace(qas_id=n, answers=[{"text": answer} for answer in golds[n]]) for n in answered]
        expected = squad_metrics.squad_evaluate(
            examples, {n: predictions[n] for n in answered}, {n: odds[n] for n in answered}, 0.0
        )
        figures = squad2_figures(*([side[n] for n in answered] for side in (predictions, golds, odds)))
        found = {
            "exact": figures.all.exact,
            "f1": figures.all.f1,
            "HasAns_exact": figures.with_answer.exact,
            "HasAns_f1": figures.with_answer.f1,
            "NoAns_exact": figures.without_answer.exact,
            "NoAns_f1": figures.without_answer.f1,
            "best_exact": figures.best_exact.figure,
            "best_f1": figures.best_f1.figure,
        }
        for name, value in found.items():
            assert 100 * value == pytest.approx(expected.get(name, 0.0), abs=1e-9), name
        assert figures.best_exact.threshold == expected["best_exact_thresh"]
        assert figures.best_f1.threshold == expected["best_f1_thresh"]


def test_an_empty_answer_is_right_where_there_is_none() -> None:
    scores = raw_scores(["", "the", "cat", "the"], [[], [], [], ["the"]])
    assert scores.exact.tolist() == [1.0, 1.0, 0.0, 1.0]
    assert scores.f1.tolist() == [1.0, 1.0, 0.0, 1.0]


def test_the_threshold_is_exceeded_not_met() -> None:
    at_zero = squad2_figures(["cat", "cat"], [["cat"], []], [0.0, 0.0])
    assert (at_zero.all.exact, at_zero.with_answer.exact, at_zero.without_answer.exact) == (0.5, 1.0, 0.0)
    at_less = squad2_figures(["cat", "cat"], [["cat"], []], [0.0, 0.0], threshold=-0.1)
    assert (at_less.with_answer.exact, at_less.without_answer.exact) == (0.0, 1.0)


def test_the_best_threshold_may_lie_among_equal_odds() -> None:
    """A quirk of the official script: no threshold separates the two questions."""
    figures = squad2_figures(["cat", "cat"], [["cat"], []], [0.5, 0.5])
    assert figures.best_exact == Best(1.0, 0.5)


def test_without_any_answer_the_best_threshold_is_zero() -> None:
    assert squad2_figures(["cat"], [[]], [-3.0]).best_exact == Best(1.0, 0.0)


def test_failed_questions_are_wrong_even_without_an_answer() -> None:
    figures = squad2_figures([None, None, "cat"], [[], ["cat"], ["cat"]], [None, None, -1.0])
    assert figures.num_failed == 2
    assert (figures.all.exact, figures.with_answer.exact, figures.without_answer.exact) == (1 / 3, 0.5, 0.0)
    assert figures.best_exact == Best(1 / 3, -1.0)
