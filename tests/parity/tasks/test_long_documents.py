"""Whole documents in windows, against merges that are written plainly: the oracle window by window."""

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from model import ShardGroup
from model.tokenizer.special_tokens import IGNORE_INDEX
from pipeline.batching.masking import Vocabulary, sample_masks
from pipeline.batching.row_random import row_hashes
from tests.parity.tasks.answers import best_answer
from tests.parity.tasks.entities import entities_of, word_probabilities
from tests.parity.tasks.job import NUM_NEW_TOKENS, annotate
from tests.parity.tasks.reference import (
    BOS,
    EOS,
    TOLERANCE,
    Reference,
    assert_near,
    framed_windows,
    is_tie,
    token_rows,
    weighted_mean,
)
from tests.parity.tasks.rows import long_documents
from tests.task_checkpoints import ENTITY_LABELS, NLI_LABELS, WORD_LABELS, TaskCheckpoints

Row = dict[str, Any]
WINDOW, STRIDE = 512, 128
SMALL = {"window": 96, "stride": 20}
QUESTION = "Which rights does everyone have, and why?"
CHOICES = ("It is about rights.", "Everyone may rest.", "Nobody knows what it is about.")
ENTAILMENT = NLI_LABELS.index("entailment")


@pytest.fixture(scope="module")
def documents() -> list[Row]:
    """The last companion takes more than half of a window; every 50th word is masked."""
    rows: list[Row] = long_documents().to_pylist()
    for row in rows:
        words = row["text"].split()
        row["tokens"] = words if len(words) > 600 else list(row["text"].replace("\n", ""))
        row["masked"] = " ".join("<mask>" if i % 50 == 0 else word for i, word in enumerate(words))
        row["companion"], row["question"], row["choices"] = row["text"][:200], QUESTION, list(CHOICES)
    rows[-1]["companion"] = rows[-1]["text"][:600]
    return rows


@pytest.fixture(scope="module")
def output(
    documents: list[Row], checkpoints: TaskCheckpoints, tmp_path_factory: pytest.TempPathFactory
) -> list[Row]:
    path = checkpoints.path
    decoder = {"trunk": path("decoder"), "weights": path("decoder")}
    entities = {"task": "token-classification", "weights": path("entities")}
    pair = {"task": "text-classification", "weights": path("nli"), "text_pair": "companion"}
    heads = {
        "topic": {"task": "text-classification", "weights": path("topic")},
        "topic_small": {"task": "text-classification", "weights": path("topic"), **SMALL},
        "topic_cut": {"task": "text-classification", "weights": path("topic"), "truncate": True},
        "pair": pair,
        "pair_cut": pair | {"truncate": True, "window": 301},
        "mean": {"task": "embedding"},
        "maximum": {"task": "embedding", "pooling": "max", "normalize": False, **SMALL},
        "vectors": {"task": "embedding", "level": "token", "normalize": False},
        "layers": {"task": "embedding", "layers": "all", **SMALL},
        "simple": entities,
        "average": entities | {"aggregation": "average", **SMALL},
        "words": {"task": "token-classification", "weights": path("words"), "words": "tokens"},
        "answer": {"task": "question-answering", "weights": path("answer"), "context": "text"},
        "answer_small": {"task": "question-answering", "weights": path("answer"), "context": "text", **SMALL},
        "choice": {"task": "multiple-choice", "weights": path("choice"), "prompt": "text"},
        "candidates": {"task": "zero-shot-classification", "weights": path("nli"), "labels": ["law", "food"]},
        "fill": {"task": "fill-mask", "text": "masked", "top_k": 1},
        "sampled": {"task": "masked-lm-loss", "mask_probability": 0.1},
        "causal": {"task": "causal-lm-loss", **decoder, **SMALL},
        "continued": {"task": "text-generation", "max_new_tokens": NUM_NEW_TOKENS, **decoder},
    }
    directory = tmp_path_factory.mktemp("long")
    return annotate(ShardGroup(), directory, pa.Table.from_pylist(documents), heads, checkpoints.encoder)


def test_nothing_is_wrong(output: list[Row]) -> None:
    assert [row["error"] for row in output] == [None] * len(output)


@pytest.mark.parametrize(("head", "cut"), [("topic", (WINDOW, STRIDE)), ("topic_small", tuple(SMALL.values()))])
def test_logits_are_averaged_by_tokens(
    documents: list[Row], output: list[Row], reference: Reference, head: str, cut: tuple[int, int]
) -> None:
    for row, found in zip(documents, output, strict=True):
        sequences, windows = zip(*framed_windows(reference.body(row["text"]), *cut), strict=True)
        assert len(windows) > 3
        expected = weighted_mean([reference.logits("topic", ids) for ids in sequences], windows)
        assert_near(found[head]["logits"], expected, head)
        assert_near(found[head]["score"], expected.softmax(0).max(), head)


def test_a_cut_text_is_one_window(documents: list[Row], output: list[Row], reference: Reference) -> None:
    for row, found in zip(documents, output, strict=True):
        ids = [BOS, *reference.body(row["text"])[: WINDOW - 2], EOS]
        assert_near(found["topic_cut"]["logits"], reference.logits("topic", ids), "topic_cut")


def test_every_window_of_a_pair_has_the_companion(
    documents: list[Row], output: list[Row], reference: Reference
) -> None:
    companions = []
    for row, found in zip(documents, output, strict=True):
        companion = reference.body(row["companion"])
        companions.append(len(companion))
        suffix = [EOS, EOS, *companion[: (WINDOW - 4) // 2], EOS]
        windows = framed_windows(reference.body(row["text"]), WINDOW, STRIDE, suffix=suffix)
        assert_near(found["pair"]["logits"], _mean_logits(reference, "nli", windows), "pair")
    assert max(companions) > (WINDOW - 4) // 2 > min(companions)


def test_a_cut_pair_is_cut_as_the_fast_tokenizer_does(
    documents: list[Row], output: list[Row], reference: Reference
) -> None:
    for row, found in zip(documents, output, strict=True):
        first, second = reference.body(row["text"]), reference.body(row["companion"])
        stand_in = reference.fast.prepare_for_model(first, second, truncation=True, max_length=301)
        ids = stand_in["input_ids"]
        if len(second) > 148:  # of two long parts the second keeps the odd token
            ids = [BOS, *first[:149], EOS, EOS, *second[:148], EOS]
        assert len(ids) == 301
        assert_near(found["pair_cut"]["logits"], reference.logits("nli", ids), "pair_cut")


def test_vectors(documents: list[Row], output: list[Row], reference: Reference) -> None:
    for row, found in zip(documents, output, strict=True):
        body = reference.body(row["text"])
        sequences, windows = zip(*framed_windows(body, WINDOW, STRIDE), strict=True)
        states = [reference.states("encoder", ids) for ids in sequences]
        mean = weighted_mean([x.mean(0) for x in states], windows)
        assert_near(found["mean"], torch.nn.functional.normalize(mean, dim=0), "mean")
        assert_near(found["vectors"], token_rows(states, windows), "vectors")
        small = [reference.states("encoder", ids).amax(0) for ids, _ in framed_windows(body, **SMALL)]
        assert_near(found["maximum"], torch.stack(small).amax(0), "maximum")


def test_vectors_of_layers(documents: list[Row], output: list[Row], reference: Reference) -> None:
    for row, found in zip(documents, output, strict=True):
        sequences, windows = zip(*framed_windows(reference.body(row["text"]), **SMALL), strict=True)
        by_layer = zip(*(reference.layers("encoder", ids) for ids in sequences), strict=True)
        for layer, states in enumerate(by_layer):
            mean = weighted_mean([x.mean(0) for x in states], windows)
            expected = torch.nn.functional.normalize(mean, dim=0)
            assert_near(found["layers"][f"layer_{layer}"], expected, f"layer {layer}")


@pytest.mark.parametrize(
    ("head", "strategy", "cut"),
    [("simple", "simple", (WINDOW, STRIDE)), ("average", "average", tuple(SMALL.values()))],
)
def test_entities(
    documents: list[Row], output: list[Row], reference: Reference, head: str, strategy: str, cut: tuple[int, int]
) -> None:
    num_compared = 0
    for row, found in zip(documents, output, strict=True):
        text, entities = row["text"], found[head]
        assert all(e["text"] == text[e["start"] : e["end"]] for e in entities)
        assert all(a["end"] <= b["start"] for a, b in itertools.pairwise(entities))
        assert {e["entity"] for e in entities} == {label[2:] for label in ENTITY_LABELS[1:]}
        probabilities = _token_logits(reference, "entities", reference.body(text), cut).softmax(-1)
        expected = entities_of(reference, text, probabilities, strategy)
        if expected is not None:
            num_compared += 1
            spans = [(e["entity"], e["start"], e["end"]) for e in entities]
            assert spans == [(e["entity_group"], e["start"], e["end"]) for e in expected]
            assert_near([e["score"] for e in entities], [e["score"] for e in expected], head)
    assert num_compared >= 2


def test_one_label_a_word_past_the_first_window(
    documents: list[Row], output: list[Row], reference: Reference
) -> None:
    for row, found in zip(documents, output, strict=True):
        pieces = [reference.body(word) for word in row["tokens"]]
        body = list(itertools.chain.from_iterable(pieces))
        probabilities = _token_logits(reference, "words", body, (WINDOW, STRIDE)).softmax(-1)
        is_read = [bool(p) for p in pieces]
        expected = word_probabilities(probabilities, [len(p) for p in pieces if p], "first")
        assert len(body) > 2 * WINDOW
        assert len(found["words"]) == len(row["tokens"])
        words = list(itertools.compress(found["words"], is_read))
        assert_near([word["score"] for word in words], expected.max(1).values, "words")
        for word, scores in zip(words, expected, strict=True):
            assert is_tie(scores) or word["label"] == WORD_LABELS[int(scores.argmax())]


@pytest.mark.parametrize(("head", "cut"), [("answer", {}), ("answer_small", SMALL)])
def test_the_best_answer_of_all_windows(
    documents: list[Row], output: list[Row], reference: Reference, head: str, cut: dict[str, int]
) -> None:
    num_spans = 0
    for row, found in zip(documents, output, strict=True):
        best = best_answer(reference, QUESTION, row["text"], 30, **cut)
        answer, offsets = found[head], reference.offsets(row["text"])
        assert answer["answer"] == row["text"][answer["start"] : answer["end"]]
        assert_near(answer["score"], best.score, head)
        assert_near(answer["null_score"], best.null_score, head)
        if offsets is not None and best.score - best.next_score > TOLERANCE:
            num_spans += 1
            assert (answer["start"], answer["end"]) == (offsets[best.first][0], offsets[best.last][1])
    assert num_spans >= 2


def test_choices_and_candidates(documents: list[Row], output: list[Row], reference: Reference) -> None:
    hypotheses = [f"This example is {label}." for label in ("law", "food")]
    for row, found in zip(documents, output, strict=True):
        body = reference.body(row["text"])
        logits = [_pair_logits(reference, "choice", body, text) for text in CHOICES]
        assert_near(found["choice"]["logits"], torch.cat(logits), "choice")
        nli = torch.stack([_pair_logits(reference, "nli", body, text) for text in hypotheses])
        scores = nli[:, ENTAILMENT].softmax(0)
        assert_near(found["candidates"]["scores"], scores.sort(descending=True).values, "candidates")


def test_guesses_in_every_window(documents: list[Row], output: list[Row], reference: Reference) -> None:
    for row, found in zip(documents, output, strict=True):
        body = reference.body(row["masked"])
        places = [t for t, token in enumerate(body) if token == reference.slow.mask_token_id]
        sequences, windows = zip(*framed_windows(body, WINDOW, STRIDE), strict=True)
        states = token_rows([reference.states("encoder", ids) for ids in sequences], windows)[places]
        with torch.inference_mode():
            logits = reference.checkpoints.oracle("encoder").lm_head(states).double()
        best = logits.softmax(-1)[:, : len(reference.slow)].max(-1)
        assert len(found["fill"]) == len(places) == row["masked"].count("<mask>")
        assert_near([guess[0]["score"] for guess in found["fill"]], best.values, "fill", absolute=1e-9)


def test_loss_of_masks_counts_each_token_once(
    documents: list[Row], output: list[Row], reference: Reference
) -> None:
    """The draw is made for the document as a whole; a token is masked in its own window only."""
    hashes = row_hashes("input.parquet", 0, len(documents))
    for i, (row, found) in enumerate(zip(documents, output, strict=True)):
        body = np.array(reference.body(row["text"]), dtype=np.int32)
        token = np.arange(len(body))
        masked, labels = sample_masks(
            body, np.zeros_like(token), token, token >= 0, hashes[i : i + 1], probability=0.1, seed=0,
            vocabulary=Vocabulary(reference.slow.mask_token_id),
        )  # fmt: skip
        total = 0.0
        for ids, window in framed_windows(body.tolist(), WINDOW, STRIDE):
            chosen = [t for t in window.owned if labels[t] != IGNORE_INDEX]
            places = [t - window.begin + 1 for t in chosen]
            for t, place in zip(chosen, places, strict=True):
                ids[place] = int(masked[t])
            logits = reference.vocabulary_logits("encoder", ids, places)
            total += _summed_loss(logits, body[chosen].tolist())
        assert found["sampled"]["num_tokens"] == round(0.1 * len(body))
        assert_near(found["sampled"]["nll"], total, "sampled", relative=1e-6)
        assert_near(found["sampled"]["loss"], total / found["sampled"]["num_tokens"], "sampled", relative=1e-6)


def test_loss_of_a_causal_model_counts_each_token_once(
    documents: list[Row], output: list[Row], reference: Reference
) -> None:
    row, found = documents[-1], output[-1]["causal"]
    body = reference.body(row["text"])
    total = 0.0
    for ids, window in framed_windows(body, **SMALL):
        places = [t - window.begin + 1 for t in window.owned]
        targets = [body[t] for t in window.owned]
        if window.end == len(body):
            places, targets = [*places, len(ids) - 1], [*targets, EOS]
        logits = reference.vocabulary_logits("decoder", ids, [place - 1 for place in places])
        total += _summed_loss(logits, targets)
    assert found["num_tokens"] == len(body) + 1
    assert_near(found["nll"], total, "causal", relative=1e-6)  # so that one token more or less shows


def test_a_long_prompt_keeps_its_end(documents: list[Row], output: list[Row], reference: Reference) -> None:
    num_usable = len(reference.slow)
    for row, found in zip(documents, output, strict=True):
        room = WINDOW - NUM_NEW_TOKENS
        ids = [BOS, *reference.body(row["text"])[-(room - 1) :]]
        logits = reference.vocabulary_logits("decoder", ids, [room - 1])[0, :num_usable]
        first = reference.slow.decode([int(logits.argmax())])
        assert is_tie(logits) or found["continued"]["text"].startswith(first)


def _token_logits(reference: Reference, name: str, body: list[int], cut: tuple[int, int]) -> Tensor:
    sequences, windows = zip(*framed_windows(body, *cut), strict=True)
    return token_rows([reference.logits(name, ids) for ids in sequences], windows)


def _mean_logits(reference: Reference, name: str, framed: Any) -> Tensor:
    sequences, windows = zip(*framed, strict=True)
    return weighted_mean([_logits(reference, name, ids) for ids in sequences], windows)


def _pair_logits(reference: Reference, name: str, body: list[int], companion: str) -> Tensor:
    suffix = [EOS, EOS, *reference.body(companion), EOS]
    return _mean_logits(reference, name, framed_windows(body, WINDOW, STRIDE, suffix=suffix))


def _logits(reference: Reference, name: str, ids: list[int]) -> Tensor:
    """Of one sequence; the class of multiple choice wants a list of choices."""
    if name != "choice":
        return reference.logits(name, ids)
    with torch.inference_mode():
        return reference.checkpoints.oracle(name)(torch.tensor([[ids]])).logits[0]


def _summed_loss(logits: Tensor, targets: list[int]) -> float:
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(targets), reduction="sum").double())
