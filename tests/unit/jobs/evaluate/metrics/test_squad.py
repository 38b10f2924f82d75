"""SQuAD 1.1's rules against a restatement of the official script, and its quirks by hand."""

import random

import numpy as np
import pytest

pytest.importorskip("scipy")

from jobs.evaluate.metrics.squad import normalize, squad_scores
from tests.unit.jobs.evaluate.metrics.official_rules import best, squad_words
from tests.unit.jobs.evaluate.metrics.random_answers import PIECES, random_question


@pytest.mark.parametrize("language", list(PIECES))
def test_scores_are_those_of_the_official_script(language: str) -> None:
    rng = random.Random(language)
    for _ in range(130):
        questions = [random_question(rng, language) for _ in range(3)]
        scores = squad_scores([prediction for prediction, _ in questions], [golds for _, golds in questions])
        expected = np.array([best(*question, squad_words) for question in questions])
        assert scores.exact.tolist() == expected[:, 0].tolist()
        assert scores.f1 == pytest.approx(expected[:, 1], abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "golds", "exact", "f1"),
    [
        ("The Cat!", ["cat"], 1.0, 1.0),
        ("a cat and an eel", ["the cat", "cat and eel"], 1.0, 1.0),
        ("black cat", ["cat", "dog"], 0.0, 2 / 3),
        ("cat cat", ["cat"], 0.0, 2 / 3),
        ("", ["the"], 1.0, 0.0),  # equal, but without a common word
        ("the theory", ["theory"], 1.0, 1.0),
        ("中国", ["中国人"], 0.0, 0.0),  # one word each
        ("中国。", ["中国"], 0.0, 0.0),  # ASCII punctuation only
        ("U.S.", ["us"], 1.0, 1.0),
        (None, ["cat"], 0.0, 0.0),
    ],
)
def test_quirks(prediction: str | None, golds: list[str], exact: float, f1: float) -> None:
    scores = squad_scores([prediction], [golds])
    assert (scores.exact[0], scores.f1[0]) == (exact, pytest.approx(f1))


def test_articles_end_at_word_boundaries_of_any_script() -> None:
    assert normalize("the_cat a\u0301 Atheneé thé") == "thecat \u0301 atheneé thé"


def test_a_question_without_gold_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="question 1 has no gold answer"):
        squad_scores(["a", "b"], [["a"], []])
