"""Measure a demo model on held-out data: `python -m jobs.demo.training.evaluate --data DIR [--model DIR]`.

Prints every figure of the model card. With `--write-held-out OUT` it writes the tagged sentences to OUT instead,
for `python -m jobs.evaluate udpos --model DIR --head DIR/pos --data OUT`.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jobs.demo.training.batches import BOS_ID, EOS_ID
from jobs.demo.training.held_out import write_held_out
from jobs.demo.training.languages import LANGUAGES, POS_LABELS, POS_LANGUAGES
from jobs.demo.training.network import DemoNetwork
from jobs.demo.training.sentences import MIN_WORDS, num_words, sentences_of
from jobs.demo.training.texts import Split, Text, read_split
from jobs.demo.training.tokens import TaggedTokens, tokenize, tokenize_split, tokenize_written
from jobs.terminal.streams import accept_any_text
from model import PackedBatch, XLMRobertaXLTokenizer

MODEL = Path(__file__).parent.parent / "model"
MAX_TOKENS = 510
TOKENS_PER_BATCH = 8192
MASK_SEED, MASK_PROBABILITY, NUM_MASKED_TEXTS = 0, 0.15, 3000
Ids = Sequence[int]
R = TypeVar("R")


class Predictor:
    """Runs a demo network over many sequences, in batches of similar lengths."""

    def __init__(self, network: DemoNetwork, tokenizer: XLMRobertaXLTokenizer) -> None:
        self.network = network
        self.tokenizer = tokenizer

    @torch.no_grad()
    def over(self, sequences: Sequence[Ids], function: Callable[[Tensor, int], R]) -> list[R]:
        """`function` of the final states (`<s>` and `</s>` included) and the index of each sequence, in order."""
        order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
        found: dict[int, R] = {}
        while order:
            longest = min(len(sequences[order[0]]), MAX_TOKENS) + 2
            batch, order = order[: TOKENS_PER_BATCH // longest], order[TOKENS_PER_BATCH // longest :]
            rows = [[BOS_ID, *sequences[i][:MAX_TOKENS], EOS_ID] for i in batch]
            packed = PackedBatch.from_sequences(rows, pad_token_id=1)
            states = self.network.lm.roberta.forward_packed(packed).split(list(packed.lengths))
            found |= {i: function(state, i) for i, state in zip(batch, states, strict=True)}
        return [found[i] for i in range(len(sequences))]

    def languages(self, texts: Sequence[Text]) -> list[str]:
        """The predicted language of each text."""
        labels = self.over(self._ids(texts), lambda x, _: int(self.network.language.classifier(x[:1]).argmax()))
        return [LANGUAGES[i].code for i in labels]

    def tags(self, sentences: Sequence[TaggedTokens]) -> list[list[str]]:
        """The predicted label of each token."""
        labels = self.over(
            [sentence.ids.tolist() for sentence in sentences],
            lambda x, _: self.network.pos.classifier(x[1:-1]).argmax(dim=-1).tolist(),
        )
        return [[POS_LABELS[i] for i in row] for row in labels]

    def vectors(self, texts: Sequence[Text]) -> Tensor:
        """Mean-pooled states, normalised to length 1, fp32 `[texts, hidden_size]`."""
        return F.normalize(torch.stack(self.over(self._ids(texts), lambda x, _: x.mean(dim=0))), dim=-1)

    def nll(self, sequences: Sequence[Ids], places: Sequence[Tensor], labels: Sequence[Tensor]) -> float:
        """Mean negative log likelihood in nats of the labels at the given places of the sequences."""
        of_sequence = self.over(
            sequences, lambda x, i: self.network.lm.lm_head.nll(x[1:-1][places[i]], labels[i]).sum()
        )
        return float(torch.stack(of_sequence).sum()) / sum(map(len, labels))

    def _ids(self, texts: Sequence[Text]) -> list[Ids]:
        tokens = tokenize(texts, self.tokenizer)
        return [tokens[i].tolist() for i in range(len(tokens))]


def language_figures(predictor: Predictor, split: Split) -> dict[str, Any]:
    """Accuracy on held-out sentences of at least five words, over all sentences and averaged over languages."""
    sentences = [
        Text(text.source, text.language, sentence)
        for text in split.held_out_texts
        for sentence in sentences_of(text.text)
        if num_words(sentence, text.language) >= MIN_WORDS
    ]
    predicted = predictor.languages(sentences)
    is_right = np.array([x.language == label for x, label in zip(sentences, predicted, strict=True)])
    of_language = _means(is_right, [x.language for x in sentences])
    mistakes = Counter(
        f"{x.language} as {label}" for x, label in zip(sentences, predicted, strict=True) if x.language != label
    )
    return {
        "sentences": len(sentences),
        "languages": len(of_language),
        "accuracy": _rounded(is_right.mean()),
        "macro_accuracy": _rounded(np.mean(list(of_language.values()))),
        "languages_of_at_least_0.95": sum(accuracy >= 0.95 for accuracy in of_language.values()),
        "by_source": _all_rounded(_means(is_right, [x.source for x in sentences])),
        "worst": _all_rounded(dict(sorted(of_language.items(), key=lambda x: x[1])[:12])),
        "mistakes": dict(mistakes.most_common(12)),
    }


def pos_figures(predictor: Predictor, split: Split) -> dict[str, Any]:
    """Accuracy of the tags of held-out words (at their first token), tokenized by word and as running text."""
    figures: dict[str, Any] = {}
    for name, form in (("words", tokenize_split), ("written", tokenize_written)):
        tokens = form(split.held_out_tagged, predictor.tokenizer)
        accuracy = {}
        predicted = predictor.tags(tokens)
        for code in POS_LANGUAGES:
            pairs = [
                (label[2:], POS_LABELS[gold])
                for sentence, of_sentence, labels in zip(split.held_out_tagged, tokens, predicted, strict=True)
                for label, gold in zip(labels, of_sentence.labels.tolist(), strict=True)
                if sentence.language == code
            ]
            first = [tag == gold[2:] for tag, gold in pairs if gold.startswith("B")]
            accuracy[code] = float(np.mean(first))
        figures[name] = {
            "macro_accuracy": _rounded(np.mean(list(accuracy.values()))),
            "by_language": _all_rounded(accuracy),
        }
    return figures | {"sentences": len(split.held_out_tagged)}


def masked_lm_figures(predictor: Predictor, split: Split) -> dict[str, Any]:
    """Loss in nats per masked token on held-out text, of the model and of a unigram model of the training text."""
    tokenizer = predictor.tokenizer
    counts = np.bincount(tokenize(split.texts, tokenizer).ids, minlength=tokenizer.vocab_size) + 1.0
    unigram = -np.log(counts / counts.sum())
    rng = np.random.default_rng(MASK_SEED)
    held_out = tokenize(split.held_out_texts, tokenizer)
    sequences, places, labels = [], [], []
    for i in rng.permutation(len(held_out))[:NUM_MASKED_TEXTS].tolist():
        ids = held_out[i][:MAX_TOKENS]
        chosen = rng.random(len(ids)) < MASK_PROBABILITY
        sequences.append(np.where(chosen, tokenizer.mask_token_id, ids).tolist())
        places.append(torch.from_numpy(np.flatnonzero(chosen)))
        labels.append(torch.from_numpy(ids[chosen]))
    model = predictor.nll(sequences, places, labels)
    of_unigram = float(unigram[torch.cat(labels).numpy()].mean())
    return {
        "masked_tokens": sum(map(len, labels)),
        "nats": _rounded(model),
        "unigram_nats": _rounded(of_unigram),
        "below_unigram": _rounded(of_unigram - model),
    }


def retrieval_figures(predictor: Predictor, split: Split, source: str) -> dict[str, Any]:
    """How often the nearest sentence of another language is the translation, over all ordered language pairs."""
    by_language: dict[str, dict[str, Text]] = defaultdict(dict)
    for text in split.held_out_texts:
        if text.source == source and text.concept is not None:
            by_language[text.language].setdefault(text.concept, text)
    concepts = sorted(set.intersection(*(set(texts) for texts in by_language.values())))
    vectors = {
        code: predictor.vectors([texts[concept] for concept in concepts])
        for code, texts in sorted(by_language.items())
    }
    right = torch.arange(len(concepts))
    found = {
        (a, b): float(((vectors[a] @ vectors[b].T).argmax(dim=-1) == right).float().mean())
        for a in vectors
        for b in vectors
        if a != b
    }
    to_english = {a: score for (a, b), score in found.items() if b == "en"}
    return {
        "sentences": len(concepts),
        "languages": len(vectors),
        "retrieval_at_1": _rounded(np.mean(list(found.values()))),
        "to_english": _rounded(np.mean(list(to_english.values()))),
        "chance": _rounded(1 / len(concepts)),
        "best_to_english": _all_rounded(dict(sorted(to_english.items(), key=lambda x: -x[1])[:8])),
    }


def _means(values: np.ndarray, keys: Sequence[str]) -> dict[str, float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for key, value in zip(keys, values.tolist(), strict=True):
        groups[key].append(value)
    return {key: float(np.mean(groups[key])) for key in sorted(groups)}


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)


def _all_rounded(values: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 3) for key, value in values.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    parser = argparse.ArgumentParser(prog="python -m jobs.demo.training.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with corpus/ and udpos/")
    parser.add_argument("--model", type=Path, default=MODEL, help="default: the model of the demo")
    parser.add_argument("--write-held-out", type=Path, metavar="OUT", help="write the tagged sentences, and end")
    options = parser.parse_args(arguments)
    split = read_split(options.data)
    if options.write_held_out is not None:
        write_held_out(split.held_out_tagged, options.write_held_out)
        return 0
    predictor = Predictor(DemoNetwork.load(options.model), XLMRobertaXLTokenizer.from_pretrained(options.model))
    for name, figures in (
        ("language", language_figures(predictor, split)),
        ("pos", pos_figures(predictor, split)),
        ("masked_lm", masked_lm_figures(predictor, split)),
        ("embedding_sib200", retrieval_figures(predictor, split, "sib200-test")),
        ("embedding_xquad", retrieval_figures(predictor, split, "xquad-para")),
    ):
        print(json.dumps({name: figures}, ensure_ascii=False, indent=2), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
