import warnings
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from pipeline.arrays.ragged import softmax
from pipeline.tasks.label_schemes import read_labels
from pipeline.tasks.token_classification import Aggregation, entities_column, words_labels
from pipeline.tasks.word_boundaries import word_starts
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.tasks.piece_fixtures import Pieces, any_pieces, make_pieces, spaced_pieces, tokenized

TYPE = pa.list_(
    pa.struct(
        [
            pa.field("entity", pa.string()),
            pa.field("start", pa.int32()),
            pa.field("end", pa.int32()),
            pa.field("text", pa.string()),
            pa.field("score", pa.float32()),
        ]
    )
)
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
PLAIN = ["NOUN", "O", "VERB"]
BIOES = ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"]
SEEDS = st.integers(0, 2**32)


def draw_logits(pieces: Pieces, labels: list[str], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(scale=2, size=(len(pieces.begins), len(labels))).astype(np.float32)


def logits_of(names: list[str], labels: list[str], probability: float = 0.9) -> np.ndarray:
    """Logits whose best label is named, with this probability."""
    is_named = np.array([[label == name for label in labels] for name in names], dtype=bool).reshape(
        -1, len(labels)
    )
    other = (1 - probability) / (len(labels) - 1)
    return np.log(np.where(is_named, probability, other)).astype(np.float32)


def found_in(pieces: Pieces, logits: np.ndarray, labels: list[str], aggregation: Aggregation) -> list[Any]:
    arrays = (pieces.row_offsets, pieces.begins, pieces.ends, logits)
    column = entities_column(pieces.texts, *arrays, labels, aggregation)
    column.validate(full=True)
    assert column.type == TYPE
    assert len(column) == len(pieces.texts)
    return list(column.to_pylist())


def oracle(pieces: Pieces, logits: np.ndarray, labels: list[str], aggregation: Aggregation) -> list[Any]:
    """What the pipeline's own code makes of the logits of one text."""
    pipe = object.__new__(TokenClassificationPipeline)
    pipe.framework = "pt"
    pipe.model = SimpleNamespace(config=SimpleNamespace(id2label=dict(enumerate(labels))))
    pipe.tokenizer = SimpleNamespace(
        unk_token_id=-1, convert_ids_to_tokens=str, convert_tokens_to_string=" ".join, _tokenizer=None
    )
    count = len(pieces.begins)
    outputs = {
        "sentence": pieces.texts[0],
        "logits": torch.from_numpy(logits)[None],
        "input_ids": torch.arange(count)[None],
        "offset_mapping": torch.from_numpy(np.stack([pieces.begins, pieces.ends], axis=1))[None],
        "special_tokens_mask": torch.zeros(1, count, dtype=torch.long),
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tokenizer does not support real words")
        return list(pipe.postprocess([outputs], AggregationStrategy(aggregation)))


def without_bare_metaspaces(pieces: Pieces) -> Pieces:
    spans = [
        [(begin, end) for (begin, end), (next_begin, _) in pairwise([*row, (-1, -1)]) if begin != next_begin]
        for row in (
            list(zip(row.begins.tolist(), row.ends.tolist(), strict=True))
            for row in map(pieces.row, range(len(pieces.texts)))
        )
    ]
    return make_pieces(pieces.texts, spans)


def assert_equals_oracle(pieces: Pieces, logits: np.ndarray, labels: list[str], aggregation: Aggregation) -> int:
    """Row by row; how many entities there were."""
    found = found_in(pieces, logits, labels, aggregation)
    for i, entities in enumerate(found):
        row = pieces.row(i)
        expected = oracle(row, logits[pieces.row_offsets[i] : pieces.row_offsets[i + 1]], labels, aggregation)
        assert [(e["entity"], e["start"], e["end"]) for e in entities] == [
            (e["entity_group"], e["start"], e["end"]) for e in expected
        ]
        assert [e["score"] for e in entities] == pytest.approx([e["score"] for e in expected], rel=1e-5)
    return sum(map(len, found))


@pytest.mark.parametrize("labels", [BIO, PLAIN])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@given(spaced_pieces(), SEEDS)
def test_entities_are_those_of_transformers(
    aggregation: Aggregation, labels: list[str], pieces: Pieces, seed: int
) -> None:
    assert_equals_oracle(pieces, draw_logits(pieces, labels, seed), labels, aggregation)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_entities_of_sentences_are_those_of_transformers(aggregation: Aggregation, tmp_path: Path) -> None:
    """Without the pieces that are the metaspace alone: there these are words, and entities overlap."""
    spaced = [text for text in SENTENCES if len(text.split()) > 4]
    pieces = without_bare_metaspaces(tokenized(spaced, tmp_path))
    for seed in range(10):
        assert assert_equals_oracle(pieces, draw_logits(pieces, BIO, seed), BIO, aggregation) > len(spaced)


@pytest.mark.parametrize("labels", [BIO, PLAIN, BIOES])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@given(any_pieces(), SEEDS)
def test_entities_of_any_text(aggregation: Aggregation, labels: list[str], pieces: Pieces, seed: int) -> None:
    logits = draw_logits(pieces, labels, seed)
    found = found_in(pieces, logits, labels, aggregation)
    types = read_labels(labels).types
    for i, entities in enumerate(found):
        own = slice(pieces.row_offsets[i], pieces.row_offsets[i + 1])
        assert found_in(pieces.row(i), logits[own], labels, aggregation) == [entities]
        for entity in entities:
            assert entity["text"] == pieces.texts[i][entity["start"] : entity["end"]] != ""
            assert entity["entity"] in types
            assert 0 < entity["score"] <= 1
        assert all(a["end"] <= b["start"] for a, b in pairwise(entities))


@given(any_pieces(), SEEDS)
def test_entities_never_end_within_a_word(pieces: Pieces, seed: int) -> None:
    logits = draw_logits(pieces, BIO, seed)
    starts = word_starts(pieces.texts, pieces.row_offsets, pieces.begins, pieces.ends)
    for aggregation in AGGREGATIONS[1:]:
        for i, entities in enumerate(found_in(pieces, logits, BIO, aggregation)):
            own = slice(pieces.row_offsets[i], pieces.row_offsets[i + 1])
            assert {e["start"] for e in entities} <= set(pieces.begins[own][starts[own]].tolist())


def spans(names: list[str], labels: list[str], aggregation: Aggregation = "first") -> list[tuple[str, str]]:
    """(type, text) of entities of the words a, b, c, … that the model labels so."""
    text = " ".join("abcdefgh"[: len(names)])
    pieces = make_pieces([text], [[(2 * i, 2 * i + 1) for i in range(len(names))]])
    [entities] = found_in(pieces, logits_of(names, labels), labels, aggregation)
    assert [e["score"] for e in entities] == pytest.approx([0.9] * len(entities))
    return [(e["entity"], e["text"]) for e in entities]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_bioes_says_where_entities_end(aggregation: Aggregation) -> None:
    names = ["S-A", "S-A", "B-A", "I-A", "E-A", "E-A", "I-A", "S-B"]
    expected = [("A", "a"), ("A", "b"), ("A", "c d e"), ("A", "f"), ("A", "g"), ("B", "h")]
    assert spans(names, BIOES, aggregation) == expected
    names = ["I-A", "E-A", "O", "B-A", "B-B", "E-B", "E-A", "B-A"]
    expected = [("A", "a b"), ("A", "d"), ("B", "e f"), ("A", "g"), ("A", "h")]
    assert spans(names, BIOES, aggregation) == expected


def test_bilou_says_where_entities_end() -> None:
    labels = ["O", "B-A", "I-A", "L-A", "U-A"]
    names = ["U-A", "B-A", "L-A", "B-A", "I-A", "L-A", "U-A", "O"]
    assert spans(names, labels) == [("A", "a"), ("A", "b c"), ("A", "d e f"), ("A", "g")]


def test_equal_plain_labels_side_by_side_are_one_entity() -> None:
    labels = ["date-time", "O", "PER"]
    names = ["date-time", "date-time", "PER", "O", "PER", "O", "O", "PER"]
    assert spans(names, labels) == [("date-time", "a b"), ("PER", "c"), ("PER", "e"), ("PER", "h")]


def test_prefixes_alone_are_entities_without_a_type() -> None:
    assert spans(["B", "I", "B", "O", "I"], ["O", "B", "I"]) == [("", "a b"), ("", "c"), ("", "e")]


def test_pieces_of_a_word_that_repeat_its_label_are_one_entity() -> None:
    pieces = make_pieces(["Obama met Xi"], [[(0, 1), (1, 5), (6, 9), (10, 11), (11, 12)]])
    names = ["S-A", "S-A", "E-A", "E-A", "E-A"]
    [entities] = found_in(pieces, logits_of(names, BIOES), BIOES, "simple")
    assert [e["text"] for e in entities] == ["Obama", "met", "Xi"]


def test_strategies_differ_where_pieces_disagree() -> None:
    pieces = make_pieces(["Micro" + "soft"], [[(0, 3), (3, 5), (5, 9)]])
    probabilities = np.array([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.05, 0.1, 0.85]])
    logits, labels = np.log(probabilities).astype(np.float32), ["ORG", "LOC", "PER"]

    def first_entity(aggregation: Aggregation) -> tuple[str, str, float]:
        [[entity, *_]] = found_in(pieces, logits, labels, aggregation)
        return entity["entity"], entity["text"], round(entity["score"], 4)

    assert first_entity("simple") == ("ORG", "Mic", 0.5)
    assert first_entity("first") == ("ORG", "Microsoft", 0.5)
    assert first_entity("average") == ("PER", "Microsoft", round(1.15 / 3, 4))
    assert first_entity("max") == ("PER", "Microsoft", 0.85)


def test_the_score_of_an_entity_is_the_mean_over_its_words() -> None:
    pieces = make_pieces(["New York is"], [[(0, 3), (4, 8), (9, 11)]])
    logits = np.concatenate([logits_of(["B-LOC"], BIO, 0.9), logits_of(["I-LOC", "O"], BIO, 0.6)])
    [[entity]] = found_in(pieces, logits, BIO, "first")
    assert entity == {"entity": "LOC", "start": 0, "end": 8, "text": "New York", "score": pytest.approx(0.75)}


def test_chinese_is_read_word_by_word() -> None:
    """Transformers makes one word, and one entity, of the sentence."""
    pieces = make_pieces(["王明在北京。"], [[(0, 1), (0, 2), (2, 3), (3, 5), (5, 6)]])
    names = ["B-PER", "I-PER", "O", "B-LOC", "O"]
    for aggregation in AGGREGATIONS:
        [entities] = found_in(pieces, logits_of(names, BIO), BIO, aggregation)
        assert [(e["entity"], e["text"]) for e in entities] == [("PER", "王明"), ("LOC", "北京")]


def test_a_shared_character_belongs_to_the_later_entity() -> None:
    pieces = make_pieces(["oﬃce 北京"], [[(0, 2), (1, 4), (5, 6), (5, 7)]])
    [entities] = found_in(pieces, logits_of(["B-PER", "B-LOC", "B-LOC", "B-PER"], BIO), BIO, "simple")
    assert [(e["entity"], e["start"], e["text"]) for e in entities] == [
        ("PER", 0, "o"),
        ("LOC", 1, "ﬃce"),
        ("PER", 5, "北京"),
    ]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_rows_without_pieces_have_no_entities(aggregation: Aggregation) -> None:
    nothing = make_pieces(["", " "], [[], []])
    assert found_in(nothing, np.zeros((0, 5), dtype=np.float32), BIO, aggregation) == [[], []]
    arrays = (np.array([0, 0, 1]), np.array([0], dtype=np.int32), np.array([1], dtype=np.int32))
    column = entities_column([None, "a"], *arrays, logits_of(["B-LOC"], BIO), BIO, aggregation)
    assert [len(entities) for entities in column.to_pylist()] == [0, 1]


def labelled(
    words: list[list[str]], labels: list[str], aggregation: Aggregation = "first"
) -> list[tuple[str | None, float | None]]:
    """Label and score of words whose pieces the model labels so."""
    word_of_token = np.repeat(np.arange(len(words), dtype=np.int32), [len(names) for names in words])
    logits = logits_of([name for names in words for name in names], labels)
    column = words_labels(word_of_token, logits, labels, len(words), aggregation)
    assert column.type == pa.struct([pa.field("label", pa.string()), pa.field("score", pa.float32())])
    return [(word["label"], word["score"]) for word in column.to_pylist()]


def test_every_word_has_its_label_also_those_without_pieces() -> None:
    sure = pytest.approx(0.9)
    words = [[], ["B-PER", "O", "O"], [], ["I-PER"], []]
    assert labelled(words, BIO) == [("O", None), ("B-PER", sure), ("O", None), ("I-PER", sure), ("O", None)]
    assert labelled([["VERB"], []], ["NOUN", "VERB"]) == [("VERB", sure), (None, None)]
    assert labelled([[], []], BIO) == [("O", None), ("O", None)]
    assert labelled([], BIO) == []


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@given(st.lists(st.integers(0, 4), max_size=8), SEEDS)
def test_labels_of_words_are_what_a_loop_finds(aggregation: Aggregation, counts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Few values, so that pieces are often equally sure: the first of them counts.
    logits = rng.integers(0, 3, size=(sum(counts), len(BIO))).astype(np.float32)
    word_of_token = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    column = words_labels(word_of_token, logits, BIO, len(counts), aggregation)
    column.validate(full=True)
    for word, found in enumerate(column.to_pylist()):
        probabilities = softmax(logits)[word_of_token == word]
        if not len(probabilities):
            assert found == {"label": "O", "score": None}
            continue
        chosen = {
            "simple": probabilities[0],
            "first": probabilities[0],
            "average": probabilities.mean(axis=0),
            "max": max(probabilities, key=max),
        }[aggregation]
        assert found["score"] == pytest.approx(chosen.max(), rel=1e-6)
        assert chosen[BIO.index(found["label"])] == pytest.approx(chosen.max(), rel=1e-12)
        if aggregation != "average":
            assert found["label"] == BIO[int(chosen.argmax())]
