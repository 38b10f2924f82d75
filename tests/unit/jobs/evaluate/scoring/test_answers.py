"""Answers by the rules of SQuAD 1.1, SQuAD 2.0 and MLQA, from a folder to results and tables."""

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest

from jobs.evaluate.metrics.squad2 import best_metric, raw_scores, squad2_figures
from tests.unit.jobs.evaluate.finished import (
    answers,
    examples_of,
    own_task_of,
    results_of,
    subset_of,
    task_of,
    write_evaluation,
)

SQUAD2 = task_of("squad_v2")


def test_squad_1_takes_the_best_gold_and_counts_failed_rows_as_wrong(tmp_path: Path) -> None:
    task = task_of("squad")
    gold = [["the cat"], ["a dog", "two dogs"], ["one two three"], ["x"]]
    found = ["Cat!", "dogs", "one three", None]
    columns = {"question": ["q"] * 4, "context": ["c", "c", "d", "d"], "gold": gold}
    write_evaluation(tmp_path, "squad", task, {"all": (examples_of(task, columns), answers(found))})
    result = subset_of(tmp_path, task)
    assert result["figures"]["exact_match"]["value"] == mean([1, 0, 0, 0])
    assert result["figures"]["f1"]["value"] == pytest.approx(mean([1, 2 / 3, 0.8, 0]))
    assert result["failed"] == [[3, "no text"]]
    assert result["details"] == {}


def test_squad_2_at_zero_and_at_the_best_threshold(tmp_path: Path) -> None:
    """Null odds: -1, 2, 3 and 5. At 0 only the first is answered; the best threshold answers the first three."""
    gold = [["cat"], ["dog"], ["bird"], []]
    found = answers(["cat", "dog", "bird", "fish"], [1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 3.0, 5.0])
    columns = {"question": ["q"] * 4, "context": list("cdef"), "gold": gold}
    write_evaluation(tmp_path, "squad_v2", SQUAD2, {"all": (examples_of(SQUAD2, columns), found)})
    result = subset_of(tmp_path, SQUAD2)
    values = {name: figure["value"] for name, figure in result["figures"].items()}
    assert values == {"exact_match": 0.5, "f1": 0.5, "best_exact_match": 1.0, "best_f1": 1.0}
    details = result["details"]
    assert details["best_exact"] == {"figure": 1.0, "threshold": 3.0}
    third = pytest.approx(1 / 3)
    assert details["with_answer"] == {"exact": third, "f1": third, "num_questions": 3}
    assert details["without_answer"]["exact"] == 1.0
    # The score is that of the official figures alone.
    assert results_of(tmp_path)["tasks"]["squad_v2"]["score"]["value"] == 0.5


def test_a_failed_question_without_an_answer_is_wrong_at_each_threshold(tmp_path: Path) -> None:
    columns = {"question": ["q"] * 2, "context": list("cd"), "gold": [[], []]}
    found = answers([None, "x"], [0.0, 0.0], [0.0, 1.0])
    write_evaluation(tmp_path, "squad_v2", SQUAD2, {"all": (examples_of(SQUAD2, columns), found)})
    assert {figure["value"] for figure in subset_of(tmp_path, SQUAD2)["figures"].values()} == {0.5}


def test_the_best_threshold_is_chosen_anew_in_each_resample() -> None:
    chance = np.random.default_rng(5)
    for num_rows in (0, 1, 7, 40):
        golds = [[] if chance.random() < 0.4 else ["w"] for _ in range(num_rows)]
        found = [None if chance.random() < 0.1 else str(chance.choice(["w", "v", ""])) for _ in range(num_rows)]
        odds = [None if text is None else float(chance.integers(-3, 4)) for text in found]
        raw = raw_scores(found, golds).f1
        metric = best_metric(raw, found, golds, odds)
        if num_rows == 0:
            assert metric.value() == 0
            continue
        assert metric.value() == pytest.approx(squad2_figures(found, golds, odds).best_f1.figure)
        weights = chance.multinomial(num_rows, [1 / num_rows] * num_rows, size=20)
        direct = [_best_by_hand(row, raw, found, golds, odds) for row in weights]
        assert metric.of_weights(weights.astype(float)) == pytest.approx(direct)


def _best_by_hand(weights: Any, raw: Any, found: list[Any], golds: list[Any], odds: list[Any]) -> float:
    """The best over all numbers of answered questions, with all copies of a question answered at once."""
    there = sorted((n for n, text in enumerate(found) if text is not None), key=lambda n: odds[n])
    best = 0.0
    for num_answered in range(len(there) + 1):
        total = 0.0
        for place, n in enumerate(there):
            is_answered = place < num_answered and found[n] != ""
            right = raw[n] if golds[n] and place < num_answered else float(not golds[n] and not is_answered)
            total += weights[n] * right
        best = max(best, total / float(weights.sum()))
    return best


@pytest.mark.parametrize(
    ("language", "gold", "found", "f1"),
    [
        ("zh", "在北京", "北京", 0.8),  # by character: 2 of 3 and 2 of 2
        ("ar", "الكتاب", "كتاب", 1.0),  # the article is dropped
        ("de", "der Zug", "Zug", 1.0),
    ],
)
def test_mlqa_depends_on_the_language(tmp_path: Path, language: str, gold: str, found: str, f1: float) -> None:
    task = task_of("mlqa")
    columns = {"question": ["q", "q"], "context": ["c", "c"], "gold": [[gold], ["x"]]}
    write_evaluation(tmp_path, "mlqa", task, {language: (examples_of(task, columns), answers([found, None]))})
    figures = subset_of(tmp_path, task, language)["figures"]
    assert figures["f1"]["value"] == pytest.approx(f1 / 2)
    assert figures["exact_match"]["value"] == (0.5 if f1 == 1 else 0.0)


def test_rows_of_a_paragraph_are_drawn_together(tmp_path: Path) -> None:
    """Where all questions are on one paragraph, each resample is the whole, so that the interval is a point."""
    task = own_task_of("question-answering", "exact_match", "f1", rules="squad-1.1")
    columns = {"question": ["q"] * 6, "context": ["c"] * 6, "gold": [["x"]] * 6}
    found = ["x", "y", "x", "y", "x", "y"]
    write_evaluation(tmp_path, "question-answering", task, {"all": (examples_of(task, columns), answers(found))})
    figure = subset_of(tmp_path, task)["figures"]["exact_match"]
    assert figure == {"value": 0.5, "low": 0.5, "high": 0.5}
