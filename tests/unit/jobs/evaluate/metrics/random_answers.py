"""Random answers in several scripts, near enough to one another that all figures between 0 and 1 occur."""

import random

PIECES = {
    "en": ["the", "The", "a", "an", "theory", "A.", "cat", "Cat", "cats", "New-York", "U.S.", "$5", "'s", "1,000"],
    "es": ["el", "La", "unos", "gato", "gatos", "año", "¿qué?", "¡no!", "él", "Unas"],
    "de": ["der", "Die", "das", "eine", "EINES", "Straße", "Bahn", "„ja“", "dessen"],
    "vi": ["của", "là", "Cái", "những", "Hà", "Nội", "nước", "chiếc"],
    "ar": ["الكتاب", "كتاب", "ال", "بالمال", "مال", "في", "،", "؟", " ال"],
    "hi": ["हिन्दी", "दिल्ली", "।", "में", "१९४७"],
    "zh": ["中国", "中", "國", "北京", "、", "。", "《书》", "abc", "龥", "龦", "㐀"],
    "th": ["กรุงเทพ", "ไทย", "ๆ", "ฯ", "a", "the"],
}
JOINTS = [" ", " ", " ", "", "\u00a0", "\t", "\u3000", "\u200b", "-", ", ", "_", "’", "+"]


def random_answer(rng: random.Random, language: str) -> str:
    pieces = PIECES[language]
    return "".join(rng.choice(pieces) + rng.choice(JOINTS) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 5])))


def random_question(rng: random.Random, language: str) -> tuple[str | None, list[str]]:
    """A prediction, None one time in ten, and one to three gold answers."""
    golds = [random_answer(rng, language) for _ in range(rng.randint(1, 3))]
    near = rng.choice(golds).upper() if rng.random() < 0.3 else f"the {rng.choice(golds)}."
    prediction = rng.choice([near, random_answer(rng, language), rng.choice(golds)])
    return (None if rng.random() < 0.1 else prediction), golds
