"""MLQA's rules against a restatement of the official script, and its quirks by hand."""

import random

import numpy as np
import pytest

pytest.importorskip("scipy")

from jobs.evaluate.metrics.mlqa import MLQA_LANGUAGES, mlqa_scores, normalize
from tests.unit.jobs.evaluate.metrics.official_rules import best, mlqa_words
from tests.unit.jobs.evaluate.metrics.random_answers import random_question


@pytest.mark.parametrize("language", MLQA_LANGUAGES)
def test_scores_are_those_of_the_official_script(language: str) -> None:
    rng = random.Random(language)
    for _ in range(150):
        questions = [random_question(rng, language) for _ in range(3)]
        predictions, golds = [p for p, _ in questions], [g for _, g in questions]
        scores = mlqa_scores(predictions, golds, language)
        expected = np.array([best(*question, lambda text: mlqa_words(text, language)) for question in questions])
        assert scores.exact.tolist() == expected[:, 0].tolist()
        assert scores.f1 == pytest.approx(expected[:, 1], abs=1e-12)


@pytest.mark.parametrize(
    ("language", "text", "normalized"),
    [
        ("en", "The U.S.’s «cat»", "uss cat"),
        ("en", "$5 + a ~ ^", "5"),  # symbols of ASCII go, too
        ("en", "5 € ± x", "5 € ± x"),  # others stay
        ("es", "¿El gato? ¡Unas gatas!", "gato gatas"),
        ("de", "Des Kaisers „eine“ Straße dem", "kaisers straße"),
        ("de", "einerseits", "einerseits"),
        ("vi", "Những con mèo của là", "con mèo"),
        ("hi", "हिन्दी। the", "हिन्दी the"),
        ("ar", "الكتاب", "كتاب"),
        ("ar", "بالمال", "ب م"),  # within words, too
        ("ar", "، كتاب؟", "كتاب"),
        ("zh", "中国abc 1。", "中 国 abc 1"),
        ("zh", "龥龦㐀a", "龥 龦㐀a"),  # only U+4E00 to U+9FA5 are characters
        ("zh", "the 书", "the 书"),
    ],
)
def test_quirks(language: str, text: str, normalized: str) -> None:
    assert normalize(text, language) == normalized


def test_chinese_is_compared_by_character() -> None:
    scores = mlqa_scores(["中国", None], [["中国人"], ["中"]], "zh")
    assert scores.f1.tolist() == [pytest.approx(0.8), 0.0]


@pytest.mark.parametrize("language", ["fr", "th", "EN", ""])
def test_other_languages_are_refused(language: str) -> None:
    with pytest.raises(ValueError, match="only for ar, de, en, es, hi, vi, zh"):
        mlqa_scores(["a"], [["a"]], language)
