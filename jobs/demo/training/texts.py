"""Read the data of the demo model, and split it into training and held-out texts.

Held out are whole documents, sentences of SIB-200 (in every language), articles of XQuAD (in every language) and
blocks of neighbouring sentences of the treebanks. Training texts that share a passage with held-out ones (the same
passage may come from two sources) are dropped.
"""

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from jobs.demo.training.languages import BY_CODE, LANGUAGES, POS_LANGUAGES

PARAGRAPHS_OF_AN_ARTICLE = 5  # of XQuAD: the first five of each article
POS_BLOCK = 10


@dataclass(frozen=True)
class Text:
    """A document or a sentence.

    Attributes:
        concept: an id that translations share; None without known translations.
    """

    source: str
    language: str
    text: str
    concept: str | None = None


@dataclass(frozen=True)
class TaggedSentence:
    """Words with universal part-of-speech tags."""

    language: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass
class Split:
    """Training and held-out data, which share no sentence."""

    texts: list[Text] = field(default_factory=list)
    held_out_texts: list[Text] = field(default_factory=list)
    tagged: list[TaggedSentence] = field(default_factory=list)
    held_out_tagged: list[TaggedSentence] = field(default_factory=list)
    num_dropped: int = 0


def read_split(data: Path) -> Split:
    """Read `corpus/` and `udpos/` below `data`, and split them."""
    split = Split()
    _read_corpus(data / "corpus", split)
    for language in POS_LANGUAGES:
        _read_treebank(data / "udpos" / language, language, split)
    _drop_overlaps(split)
    return split


def _read_corpus(directory: Path, split: Split) -> None:
    rows = ds.dataset(sorted(directory.glob("*.parquet"))).to_table().to_pylist()
    sib = {code: language.code for language in LANGUAGES for code in language.sib}
    udhr = {name: language.code for language in LANGUAGES for name in language.udhr}
    for row in sorted(rows, key=lambda row: row["id"]):
        source, language, key = row["source"], row["lang"], row["id"].split(":")[-1]
        if source == "sib200-test":
            language = sib.get(language)
        elif source == "udhr":
            language = udhr.get(key)
        if language not in BY_CODE:
            continue
        concept = None
        if source == "sib200-test":
            concept, unit, rate = f"sib:{key}", key, 6
        elif source == "xquad-para":
            concept, unit, rate = f"xquad:{key}", str(int(key) // PARAGRAPHS_OF_AN_ARTICLE), 10
        else:
            unit, rate = row["id"], 10
        # Never held out: the first is one text in all languages, the second is also in the treebanks.
        is_held_out = source not in ("udhr", "ud-ewt-doc") and zlib.crc32(f"{source}/{unit}".encode()) % rate == 0
        (split.held_out_texts if is_held_out else split.texts).append(Text(source, language, row["text"], concept))


def _read_treebank(directory: Path, language: str, split: Split) -> None:
    table = pq.read_table(directory / "validation-00000-of-00001.parquet")
    columns = zip(table["tokens"].to_pylist(), table["pos_tags"].to_pylist(), strict=True)
    for index, (words, tags) in enumerate(columns):
        is_held_out = index // POS_BLOCK % 8 == 3
        (split.held_out_tagged if is_held_out else split.tagged).append(
            TaggedSentence(language, tuple(words), tuple(tags))
        )


def _drop_overlaps(split: Split) -> None:
    """Drop training texts that share a passage with a held-out one."""
    whole: set[str] = set()
    pieces: set[str] = set()
    held_out = [(x.language, letters(x.text)) for x in split.held_out_texts]
    held_out += [(x.language, letters("".join(x.words))) for x in split.held_out_tagged]
    for language, text in held_out:
        size = _piece_size(language)
        whole.add(text)
        pieces.update(text[i : i + size] for i in range(len(text) - size + 1))

    def is_clean(language: str, text: str) -> bool:
        size = _piece_size(language)
        # Every second position finds every passage that is at least one letter longer than a piece.
        return text not in whole and not any(
            text[i : i + size] in pieces for i in range(0, len(text) - size + 1, 2)
        )

    num_before = len(split.texts) + len(split.tagged)
    split.texts = [x for x in split.texts if is_clean(x.language, letters(x.text))]
    split.tagged = [x for x in split.tagged if is_clean(x.language, letters("".join(x.words)))]
    split.num_dropped = num_before - len(split.texts) - len(split.tagged)


def letters(text: str) -> str:
    """Letters and digits only, in lower case, so that blanks, punctuation and case do not hide a repetition."""
    return "".join(filter(str.isalnum, text.casefold()))


def _piece_size(language: str) -> int:
    """Length in letters of a passage that two texts do not share by chance."""
    return 40 if BY_CODE[language].is_spaced else 20
