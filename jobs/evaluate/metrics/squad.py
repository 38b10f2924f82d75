"""Exact match and F1 of answers by the rules of SQuAD 1.1, which XQuAD and TyDiQA use in every language.

Source: evaluate-v1.1.py of Rajpurkar et al. (2016). Answers are compared in lower case, without ASCII punctuation,
without the words a, an and the, as words between white space; the best of the gold answers counts.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.evaluate.metrics.weighted import Floats

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_DROP_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class QuestionScores:
    """Exact match, 0 or 1, and F1 of each question, float64 `[questions]`."""

    exact: Floats
    f1: Floats


def normalize(text: str) -> str:
    """An answer as it is compared: its words in lower case, joined by single spaces."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_DROP_PUNCTUATION)).split())


def squad_scores(predictions: Sequence[str | None], golds: Sequence[Sequence[str]]) -> QuestionScores:
    """Scores by the rules of SQuAD 1.1; 0 for a failed question, whose prediction is None.

    An answer that is empty after normalization has F1 0 even where the gold answer is empty too, as in the source.

    Raises:
        ValueError: a question has no gold answer.
    """
    return best_scores(predictions, golds, normalize)


def best_scores(
    predictions: Sequence[str | None], golds: Sequence[Sequence[str]], normalize: Callable[[str], str]
) -> QuestionScores:
    """Scores of the best gold answer, whose normalized form is compared as a whole and word by word."""
    exact, f1 = np.zeros(len(golds)), np.zeros(len(golds))
    for n, (prediction, answers) in enumerate(zip(predictions, golds, strict=True)):
        if not answers:
            raise ValueError(f"question {n} has no gold answer, which only SQuAD 2.0 allows")
        if prediction is not None:
            found, expected = normalize(prediction), [normalize(answer) for answer in answers]
            exact[n] = found in expected
            f1[n] = max(word_f1(found.split(), answer.split()) for answer in expected)
    return QuestionScores(exact, f1)


def word_f1(found: Sequence[str], expected: Sequence[str]) -> float:
    """F1 of two bags of words, 0 without a common one."""
    num_common = sum((Counter(found) & Counter(expected)).values())
    if num_common == 0:
        return 0.0
    precision, recall = num_common / len(found), num_common / len(expected)
    return 2 * precision * recall / (precision + recall)
