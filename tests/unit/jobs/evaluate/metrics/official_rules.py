"""The rules of the official question answering scripts, restated plainly and slowly from reading them.

Sources: evaluate-v1.1.py and evaluate-v2.0.py of SQuAD (rajpurkar.github.io/SQuAD-explorer) and
mlqa_evaluation_v1.py of facebookresearch/MLQA. Each step is written in another way than in the product.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Sequence

ASCII_PUNCTUATION = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
UNICODE_PUNCTUATION = ASCII_PUNCTUATION | {
    char for char in map(chr, range(sys.maxunicode)) if unicodedata.category(char)[0] == "P"
}
MLQA_ARTICLES = {
    "en": ["a", "an", "the"],
    "es": ["un", "una", "unos", "unas", "el", "la", "los", "las"],
    "vi": ["của", "là", "cái", "chiếc", "những"],
    "de": ["ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"],
}


def without_words(text: str, words: Sequence[str]) -> str:
    """The text with a space in place of each run of word characters that is one of the words."""
    return "".join(" " if piece in words else piece for piece in re.split(r"(\w+)", text))


def squad_words(text: str) -> list[str]:
    kept = "".join(char for char in text.lower() if char not in ASCII_PUNCTUATION)
    return without_words(kept, ["a", "an", "the"]).split()


def mlqa_words(text: str, language: str) -> list[str]:
    kept = "".join(char for char in text.lower() if char not in UNICODE_PUNCTUATION)
    if language == "ar":
        # Nothing comes before the start of a text, so the pattern's other alternative never matches.
        return re.compile("\\sال^|ال").sub(" ", kept).split()
    kept = without_words(kept, MLQA_ARTICLES.get(language, []))
    if language != "zh":
        return kept.split()
    words, run = [], ""
    for char in kept:
        if 0x4E00 <= ord(char) <= 0x9FA5:
            words += [*run.split(), char]
            run = ""
        else:
            run += char
    return words + run.split()


def common_words(found: Sequence[str], expected: Sequence[str]) -> int:
    left = list(expected)
    for word in found:
        if word in left:
            left.remove(word)
    return len(expected) - len(left)


def f1(found: Sequence[str], expected: Sequence[str]) -> float:
    common = common_words(found, expected)
    return 0.0 if common == 0 else 2 * common / (len(found) + len(expected))


def best(prediction: str | None, golds: Sequence[str], words: Callable[[str], list[str]]) -> tuple[float, float]:
    """Exact match and F1 of SQuAD 1.1 and MLQA; an unanswered question has 0."""
    if prediction is None:
        return 0.0, 0.0
    pairs = [(words(prediction), words(gold)) for gold in golds]
    return max(float(" ".join(a) == " ".join(b)) for a, b in pairs), max(f1(a, b) for a, b in pairs)


def squad2_raw(prediction: str | None, golds: Sequence[str]) -> tuple[float, float]:
    """Raw exact match and F1 of SQuAD 2.0."""
    if prediction is None:
        return 0.0, 0.0
    found = squad_words(prediction)
    answers = [words for words in map(squad_words, golds) if words] or [[]]
    exact = max(float(found == words) for words in answers)
    return exact, max(f1(found, words) if found and words else float(found == words) for words in answers)


def squad2_best(
    raw: Sequence[float], predictions: Sequence[str | None], golds: Sequence[Sequence[str]], odds: Sequence[float]
) -> tuple[float, float]:
    """The best score and its threshold: all numbers of questions answered, in the order of their odds."""
    order = sorted((n for n in range(len(raw)) if predictions[n] is not None), key=lambda n: odds[n])
    best_score, threshold = float(sum(not golds[n] for n in order)), 0.0
    for num_answered in range(1, len(order) + 1):
        answered, rest = order[:num_answered], order[num_answered:]
        score = float(sum(not golds[n] for n in rest))
        score += sum(raw[n] if golds[n] else float(not predictions[n]) for n in answered)
        if score > best_score + 1e-9:
            best_score, threshold = score, odds[order[num_answered - 1]]
    return best_score / len(raw), threshold
