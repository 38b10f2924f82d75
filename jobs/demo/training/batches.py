"""Draw training batches: windows of text, tagged sentences and translations, packed without padding.

Batch i of a recipe depends on i only, so that training can be resumed at any step.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.demo.training.languages import LANGUAGES
from jobs.demo.training.recipe import Phase, Recipe
from jobs.demo.training.texts import TaggedSentence, Text
from jobs.demo.training.tokens import TaggedTokens, Tokenized
from model.tokenizer.special_tokens import IGNORE_INDEX

BOS_ID, EOS_ID, NUM_FIRST_IDS = 0, 2, 4
MAX_TAGGED_TOKENS = 160


@dataclass(frozen=True)
class Batch:
    """Packed sequences with their labels.

    Attributes:
        input_ids: int64 `[num_tokens]`, some of them masked.
        lengths: of the sequences.
        masked_labels: int64 `[num_tokens]`, -100 where nothing is masked.
        languages: int64 `[num_sequences]`, -100 for tagged sentences, which cover few languages.
        tags: int64 `[num_tokens]`, -100 without a tag.
        concepts: int64 `[num_sequences]`, equal for translations of one sentence, -1 for others.
        phase: weights of the losses.
    """

    input_ids: Tensor
    lengths: list[int]
    masked_labels: Tensor
    languages: Tensor
    tags: Tensor
    concepts: Tensor
    phase: Phase


@dataclass(frozen=True)
class _Sequence:
    ids: NDArray[np.int64]
    language: int
    tags: NDArray[np.int64] | None = None
    concept: int = -1


class BatchSource:
    """Draws batches of `tokens_per_step` tokens from the training data.

    Args:
        texts, tokens: documents and their tokens.
        tagged, tagged_tokens: sentences and their tokens in several forms, one of which is drawn.
    """

    def __init__(
        self,
        recipe: Recipe,
        vocab_size: int,
        texts: Sequence[Text],
        tokens: Tokenized,
        tagged: Sequence[TaggedSentence],
        tagged_tokens: Sequence[Sequence[TaggedTokens]],
    ) -> None:
        self._recipe = recipe
        self._vocab_size = vocab_size
        self._tokens = tokens
        self._label = {language.code: i for i, language in enumerate(LANGUAGES)}
        self._texts_of = _grouped([text.language for text in texts])
        lengths = np.diff(tokens.offsets)
        self._ends_of = {code: np.cumsum(lengths[index]) for code, index in self._texts_of.items()}
        self._codes = list(self._ends_of)
        num_tokens = {code: int(ends[-1]) for code, ends in self._ends_of.items()}
        self._code_chances = _chances(num_tokens, recipe.language_exponent)
        self._tagged_tokens = tagged_tokens
        self._tagged_of = _grouped([sentence.language for sentence in tagged])
        self._tagged_codes = list(self._tagged_of)
        self._tagged_chances = _chances({code: len(index) for code, index in self._tagged_of.items()}, 0.6)
        self._languages = [self._label[text.language] for text in texts]
        concepts = _grouped([text.concept or "" for text in texts])
        self._concepts = [index for concept, index in concepts.items() if concept]

    def batch(self, step: int) -> Batch:
        """The batch of a step, longest sequences first."""
        rng = np.random.default_rng([self._recipe.seed, step])
        phase = self._recipe.phase(step)
        sequences: list[_Sequence] = []
        if phase.has_heads:
            self._add_tagged(sequences, phase.tagged_tokens, rng)
            self._add_parallel(sequences, phase, rng)
        self._add_windows(sequences, rng)
        sequences.sort(key=lambda sequence: len(sequence.ids))
        return self._packed(sequences, rng, phase)

    def _add_windows(self, sequences: list[_Sequence], rng: np.random.Generator) -> None:
        """Fill the batch to exactly `tokens_per_step`: kernels are compiled per shape, so one size is faster."""
        recipe = self._recipe
        num_tokens = recipe.tokens_per_step - sum(len(sequence.ids) + 2 for sequence in sequences)
        while num_tokens > 0:
            code = self._codes[rng.choice(len(self._codes), p=self._code_chances)]
            ends = self._ends_of[code]
            text = self._texts_of[code][np.searchsorted(ends, rng.integers(ends[-1]), side="right")]
            is_short = rng.random() < 0.5
            size = int(rng.integers(*recipe.short_windows)) if is_short else recipe.max_window
            is_last = num_tokens - 2 <= size + recipe.short_windows[0]
            ids = self._window(int(text), num_tokens - 2 if is_last else size, rng)
            if not is_last or len(ids) == num_tokens - 2:
                sequences.append(_Sequence(ids, self._label[code]))
                num_tokens -= len(ids) + 2

    def _window(self, text: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """A part of a text that begins at a word, or the whole text if it is shorter."""
        begin, end = int(self._tokens.offsets[text]), int(self._tokens.offsets[text + 1])
        if end - begin > size:
            starts = np.flatnonzero(self._tokens.begins_word[begin : end - size + 1])
            begin += int(rng.choice(starts)) if len(starts) else 0
        return self._tokens.ids[begin : min(end, begin + size)]

    def _add_tagged(self, sequences: list[_Sequence], num_tokens: int, rng: np.random.Generator) -> None:
        while num_tokens > 0:
            code = self._tagged_codes[rng.choice(len(self._tagged_codes), p=self._tagged_chances)]
            index = int(self._tagged_of[code][rng.integers(len(self._tagged_of[code]))])
            forms = self._tagged_tokens[int(rng.integers(len(self._tagged_tokens)))]
            ids, tags = forms[index].ids[:MAX_TAGGED_TOKENS], forms[index].labels[:MAX_TAGGED_TOKENS]
            sequences.append(_Sequence(ids, IGNORE_INDEX, tags))
            num_tokens -= len(ids) + 2

    def _add_parallel(self, sequences: list[_Sequence], phase: Phase, rng: np.random.Generator) -> None:
        """Add sentences, each in as many languages as fit."""
        num_tokens = phase.parallel_tokens
        chosen = rng.choice(len(self._concepts), size=phase.num_concepts, replace=False)
        orders = [rng.permutation(self._concepts[concept]) for concept in chosen]
        for turn in range(max(map(len, orders))):
            for concept, order in zip(chosen.tolist(), orders, strict=True):
                if turn < len(order) and (turn < 2 or num_tokens > 0):
                    ids = self._tokens[int(order[turn])][: self._recipe.max_parallel_tokens]
                    sequences.append(_Sequence(ids, self._languages[order[turn]], concept=concept))
                    num_tokens -= len(ids) + 2
            if num_tokens <= 0:
                return

    def _packed(self, sequences: list[_Sequence], rng: np.random.Generator, phase: Phase) -> Batch:
        lengths = [len(sequence.ids) + 2 for sequence in sequences]
        ids = np.concatenate([np.concatenate([[BOS_ID], s.ids, [EOS_ID]]) for s in sequences])
        outside = np.array([IGNORE_INDEX])
        tags = np.concatenate(
            [
                np.full(len(s.ids) + 2, IGNORE_INDEX)
                if s.tags is None
                else np.concatenate([outside, s.tags, outside])
                for s in sequences
            ]
        )
        input_ids, labels = self._masked(ids, rng)
        return Batch(
            torch.from_numpy(input_ids),
            lengths,
            torch.from_numpy(labels),
            torch.tensor([s.language for s in sequences]),
            torch.from_numpy(tags.astype(np.int64)),
            torch.tensor([s.concept for s in sequences]),
            phase,
        )

    def _masked(
        self, ids: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """BERT's masking: of the chosen tokens, 80 % become `<mask>`, 10 % a random token, 10 % stay."""
        order = rng.permutation(np.flatnonzero(ids >= NUM_FIRST_IDS))
        chosen = np.zeros(len(ids), dtype=np.bool_)
        chosen[order[: round(self._recipe.mask_probability * len(ids))]] = True
        labels = np.where(chosen, ids, IGNORE_INDEX)
        fate = rng.random(len(ids))
        masked = np.where(chosen & (fate < 0.8), self._vocab_size - 1, ids)
        other = rng.integers(NUM_FIRST_IDS, self._vocab_size - 1, len(ids))
        return np.where(chosen & (fate >= 0.9), other, masked), labels


def _grouped(keys: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Indices by key, in the order of the keys."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    return {key: np.array(groups[key]) for key in sorted(groups)}


def _chances(sizes: dict[str, int], exponent: float) -> NDArray[np.float64]:
    weights = np.array(list(sizes.values()), dtype=np.float64) ** exponent
    return weights / weights.sum()
