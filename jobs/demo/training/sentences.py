"""Split documents into sentences, and count the words of a sentence, in any script."""

import re

from jobs.demo.training.languages import BY_CODE

MIN_WORDS = 5
_END = re.compile(r"(?<=[.!?؟।։።])\s+|(?<=[。！？])|\n+")
_LETTERS_A_WORD = {"zh": 2, "ja": 2}
_OTHER_LETTERS_A_WORD = 4


def sentences_of(text: str) -> list[str]:
    """Split after the marks that end sentences, and at line ends."""
    return [part.strip() for part in _END.split(text) if part.strip()]


def num_words(sentence: str, language: str) -> int:
    """Words with a letter; in languages without blanks, the number of letters over the usual length of a word."""
    if BY_CODE[language].is_spaced:
        return sum(any(map(str.isalpha, word)) for word in sentence.split())
    num_letters = sum(map(str.isalpha, sentence))
    return num_letters // _LETTERS_A_WORD.get(language, _OTHER_LETTERS_A_WORD)
