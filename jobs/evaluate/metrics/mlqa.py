"""Exact match and F1 of answers by MLQA's own rules for its seven languages.

Source: mlqa_evaluation_v1.py of Lewis et al. (2020), quirks included, since its figures are the published ones.
Punctuation is ASCII's and all of Unicode's category P; articles are those of the answer's language.
"""

import re
import string
import unicodedata
from collections.abc import Sequence

from jobs.evaluate.metrics.squad import QuestionScores, best_scores

_ARTICLES = {
    "ar": "ال",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "zh": None,
}
MLQA_LANGUAGES = tuple(_ARTICLES)
"""The languages that have rules."""


def normalize(text: str, language: str) -> str:
    r"""An answer as it is compared: words, in Chinese also single characters, joined by single spaces.

    Arabic loses every ال, also within words: the first alternative of the source's pattern, `\sال^|ال`, matches
    nothing. Only U+4E00 to U+9FA5 count as Chinese characters.
    """
    text = "".join(char for char in text.lower() if not _is_punctuation(char))
    articles = _ARTICLES[language]
    if articles is not None:
        text = re.sub(articles, " ", text)
    if language == "zh":
        text = re.sub("([\u4e00-\u9fa5])", r" \1 ", text)
    return " ".join(text.split())


def mlqa_scores(
    predictions: Sequence[str | None], golds: Sequence[Sequence[str]], language: str
) -> QuestionScores:
    """Scores by MLQA's rules for the language of the answers; 0 for a failed question, whose prediction is None.

    Raises:
        ValueError: MLQA has no rules for the language, or a question has no gold answer.
    """
    if language not in _ARTICLES:
        raise ValueError(f"MLQA has no rules for language {language!r}, only for {', '.join(MLQA_LANGUAGES)}")
    return best_scores(predictions, golds, lambda text: normalize(text, language))


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")
