"""Train the sentencepiece model of the demo, and tokenize its training data."""

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece as spm
from numpy.typing import NDArray

from jobs.demo.training.languages import BY_CODE, POS_LABELS
from jobs.demo.training.recipe import Recipe
from jobs.demo.training.texts import Split, TaggedSentence, Text
from model import XLMRobertaXLTokenizer
from pipeline.encoding.tokenizing import tokenize_texts, tokenize_words

SENTENCEPIECE_FILE = "sentencepiece.bpe.model"
MAX_CHARS_A_LANGUAGE = 300_000
_MAX_LINE_BYTES = 4000
_NO_BLANK_BEFORE = frozenset(".,;:!?)]}»”…%।؟،؛、。！？，；：）」』")
_NO_BLANK_AFTER = frozenset("([{«“（「『¿¡")


def train_tokenizer(split: Split, recipe: Recipe, directory: Path) -> XLMRobertaXLTokenizer:
    """Train on up to `MAX_CHARS_A_LANGUAGE` characters per language; writes `sentencepiece.bpe.model`."""
    lines: dict[str, list[str]] = defaultdict(list)
    num_chars: dict[str, int] = defaultdict(int)
    for sentence in split.tagged:
        written, _ = _as_written(sentence)
        lines[sentence.language].append(written[: _MAX_LINE_BYTES // 4])
        num_chars[sentence.language] += len(written)
    order = np.random.default_rng(recipe.seed).permutation(len(split.texts))
    for text in (split.texts[i] for i in order):
        if num_chars[text.language] < MAX_CHARS_A_LANGUAGE:
            for line in text.text.splitlines():
                lines[text.language].append(line[: _MAX_LINE_BYTES // 4])
                num_chars[text.language] += len(line)
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=(line for language in sorted(lines) for line in lines[language]),
        model_writer=model,
        model_type="bpe",
        vocab_size=recipe.num_pieces,
        character_coverage=recipe.character_coverage,
        normalization_rule_name="nmt_nfkc",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        max_sentence_length=_MAX_LINE_BYTES,
        shuffle_input_sentence=False,
        num_threads=1,
        minloglevel=1,
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SENTENCEPIECE_FILE).write_bytes(model.getvalue())
    return XLMRobertaXLTokenizer.from_pretrained(directory)


@dataclass(frozen=True)
class Tokenized:
    """Concatenated token ids of many texts, without special tokens.

    Attributes:
        ids: int64 `[n]`.
        offsets: int64 `[texts + 1]`.
        begins_word: bool `[n]`, whether a word starts, so that a text can be cut there.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    begins_word: NDArray[np.bool_]

    def __getitem__(self, index: int) -> NDArray[np.int64]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def tokenize(texts: Sequence[Text], tokenizer: XLMRobertaXLTokenizer) -> Tokenized:
    """Token ids of texts."""
    tokens = tokenize_texts([text.text for text in texts], tokenizer, with_offsets=False)
    ids = tokens.ids.values.astype(np.int64)
    begins = np.array(
        [piece.startswith("▁") for piece in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
    )[ids]
    is_unspaced = np.array([not BY_CODE[text.language].is_spaced for text in texts])
    begins |= np.repeat(is_unspaced, tokens.ids.lengths)
    return Tokenized(ids, tokens.ids.offsets.astype(np.int64), begins)


@dataclass(frozen=True)
class TaggedTokens:
    """Token ids of a sentence and the index of each one's label in `POS_LABELS`, int64 `[n]` each."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]


def tokenize_split(sentences: Sequence[TaggedSentence], tokenizer: XLMRobertaXLTokenizer) -> list[TaggedTokens]:
    """Tokenize word by word, as a job does with `words = "tokens"`."""
    tokens = tokenize_words([sentence.words for sentence in sentences], tokenizer)
    return [
        TaggedTokens(tokens.ids.values[span].astype(np.int64), _labels(tokens.begins.values[span], sentence.tags))
        for sentence, span in zip(sentences, starmap(slice, pairwise(tokens.ids.offsets)), strict=True)
    ]


def tokenize_written(sentences: Sequence[TaggedSentence], tokenizer: XLMRobertaXLTokenizer) -> list[TaggedTokens]:
    """Tokenize sentences as running text; a token across two words gets the label of the first."""
    texts, ends = zip(*map(_as_written, sentences), strict=True)
    tokens = tokenize_texts(texts, tokenizer, with_offsets=True)
    found = []
    spans = starmap(slice, pairwise(tokens.ids.offsets))
    for sentence, text, word_ends, span in zip(sentences, texts, ends, spans, strict=True):
        # A token may begin with the blank before its word.
        begins = [b + (text[b : b + 1] == " ") for b in tokens.begins.values[span].tolist()]
        words = np.searchsorted(word_ends, np.minimum(begins, len(text) - 1), side="right")
        found.append(TaggedTokens(tokens.ids.values[span].astype(np.int64), _labels(words, sentence.tags)))
    return found


def _labels(words: NDArray[np.integer[Any]], tags: tuple[str, ...]) -> NDArray[np.int64]:
    """B- for the first token of a word and I- for the others."""
    is_first = np.ones(len(words), dtype=np.bool_)
    is_first[1:] = words[1:] != words[:-1]
    index = {label: i for i, label in enumerate(POS_LABELS)}
    return np.array(
        [index[f"{'B' if b else 'I'}-{tags[w]}"] for w, b in zip(words.tolist(), is_first, strict=True)],
        dtype=np.int64,
    )


def _as_written(sentence: TaggedSentence) -> tuple[str, NDArray[np.int64]]:
    """The sentence as running text, and the end of each word in it."""
    text, ends = "", []
    for word, blank in zip(sentence.words, _blanks_before(sentence), strict=True):
        text += (" " if blank else "") + word
        ends.append(len(text))
    return text, np.array(ends, dtype=np.int64)


def _blanks_before(sentence: TaggedSentence) -> Iterator[bool]:
    previous = ""
    for word in sentence.words:
        is_joined = word[:1] in _NO_BLANK_BEFORE or previous[-1:] in _NO_BLANK_AFTER
        yield bool(previous) and BY_CODE[sentence.language].is_spaced and not is_joined
        previous = word
