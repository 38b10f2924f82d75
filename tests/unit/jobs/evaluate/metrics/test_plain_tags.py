"""XTREME's F1 of plain tags against seqeval 0.0.12, by a restatement of it and by figures it has given."""

import itertools
import random
from collections.abc import Sequence

import pytest

pytest.importorskip("seqeval")

from jobs.evaluate.metrics.plain_tags import plain_entities, token_accuracy_metric, xtreme_f1_metric

UNIVERSAL_TAGS = ["ADJ", "ADP", "AUX", "CCONJ", "INTJ", "NOUN", "PART", "PRON", "PROPN", "SCONJ", "SYM", "X"]
OTHER_TAGS = ["_", ".", "EX", "O", "B-X", "I-X", "B-Y", "E-Y", "S-X", "O-X", "Z-X", "OTHER", "BIG"]

# What the f1_score of seqeval 0.0.12 itself returned, and how many gold entities its get_entities found.
FIGURES_OF_0_0_12 = [
    (
        ["X X NUM X SYM NUM NOUN", "SYM SYM", "NUM NUM X SYM SYM"],
        ["X X NUM X SYM NUM X", "NUM SYM", "NUM NUM SYM NOUN NOUN"],
        0.6086956521739131,
        12,
    ),
    (["PUNCT", "PART", "ADJ ADJ ADJ ADV"], ["PUNCT", "PUNCT", "ADJ PUNCT ADJ PART"], 0.2, 4),
    (
        ["DET", "PRON ADV ADV INTJ PRON PRON PRON", "DET ADV INTJ SYM"],
        ["DET", "PRON ADV ADV INTJ PRON PRON PRON", "SYM ADV ADV SYM"],
        0.7058823529411765,
        9,
    ),
    (
        ["ADV AUX ADV ADV", "AUX AUX AUX ADP", "ADP AUX ADV ADV X"],
        ["ADV AUX ADP ADP", "ADV ADP ADP ADP", "X AUX ADV ADV X"],
        0.5555555555555556,
        9,
    ),
    (
        ["PROPN SYM SYM SYM", "SYM NOUN NUM", "NOUN SYM"],
        ["PROPN SYM SYM SYM", "NUM NOUN NUM", "NOUN SYM"],
        0.8888888888888888,
        9,
    ),
    (
        ["PART NUM", "X NUM", "INTJ INTJ SYM SYM PROPN SYM"],
        ["PART NUM", "INTJ NUM", "INTJ INTJ SYM SYM PROPN SYM"],
        0.8888888888888888,
        9,
    ),
    (
        ["ADV X NOUN", "ADV NUM ADV", "NUM ADV NUM ADV NUM NUM ADV"],
        ["ADV X NOUN", "ADV NUM ADV", "NUM ADV ADV ADV NUM NUM ADV"],
        0.8181818181818182,
        12,
    ),
    (
        ["SYM ADP PROPN ADJ", "PROPN NOUN SYM", "SYM NOUN"],
        ["PROPN ADP PROPN ADJ", "PROPN NOUN NOUN", "ADP NOUN"],
        0.5882352941176471,
        9,
    ),
    (
        ["ADV PRON INTJ PRON", "INTJ PRON SYM", "ADV INTJ SYM SYM"],
        ["SYM INTJ SYM PRON", "INTJ PRON PRON", "ADV INTJ SYM PRON"],
        0.47619047619047616,
        11,
    ),
    (
        ["NOUN", "PUNCT CCONJ", "CCONJ AUX CCONJ NOUN CCONJ PUNCT"],
        ["NOUN", "PUNCT CCONJ", "CCONJ AUX PUNCT NOUN PUNCT PUNCT"],
        0.7058823529411765,
        9,
    ),
]


def entities_of_0_0_12(sentences: Sequence[Sequence[str]]) -> set[tuple[str, int, int]]:
    """Entities of all sentences in one row, each followed by O, by tables of pairs of prefixes."""
    ends = {("B", "B"), ("B", "S"), ("B", "O"), ("I", "B"), ("I", "S"), ("I", "O")}
    starts = {("E", "E"), ("E", "I"), ("S", "E"), ("S", "I"), ("O", "E"), ("O", "I")}
    row = [tag for sentence in sentences for tag in [*sentence, "O"]] + ["O"]
    before = [("O", "")] + [(tag[:1], tag.rsplit("-", 1)[-1]) for tag in row]
    found, start = set(), 0
    for n, ((left, left_type), (right, right_type)) in enumerate(itertools.pairwise(before)):
        changes = left_type != right_type
        if left in ("E", "S") or (left, right) in ends or (changes and left not in ("O", ".")):
            found.add((left_type, start, n - 1))
        if right in ("B", "S") or (left, right) in starts or (changes and right not in ("O", ".")):
            start = n
    return found


def f1_of_0_0_12(gold: list[list[str]], predicted: list[list[str]]) -> float:
    expected, found = entities_of_0_0_12(gold), entities_of_0_0_12(predicted)
    num_right = len(expected & found)
    if num_right == 0:
        return 0.0
    precision, recall = num_right / len(found), num_right / len(expected)
    return 2 * precision * recall / (precision + recall)


def random_sentences(seed: int) -> tuple[list[list[str]], list[list[str]]]:
    rng = random.Random(seed)
    tags = rng.sample(UNIVERSAL_TAGS, 4) + (rng.sample(OTHER_TAGS, 5) if seed % 2 else ["SYM", "INTJ"])
    gold = [rng.choices(tags, k=rng.randint(0, 10)) for _ in range(rng.randint(0, 6))] + [["NOUN"]]
    predicted = [[tag if rng.random() < 0.6 else rng.choice(tags) for tag in sentence] for sentence in gold]
    return gold, predicted


def split(sentences: Sequence[str]) -> list[list[str]]:
    return [sentence.split() for sentence in sentences]


@pytest.mark.parametrize(("gold", "predicted", "f1", "num_entities"), FIGURES_OF_0_0_12)
def test_figures_that_seqeval_0_0_12_gave(
    gold: list[str], predicted: list[str], f1: float, num_entities: int
) -> None:
    assert xtreme_f1_metric(split(gold), split(predicted)).value() == pytest.approx(f1, abs=1e-15)
    assert sum(map(len, plain_entities(split(gold)))) == num_entities
    assert f1_of_0_0_12(split(gold), split(predicted)) == pytest.approx(f1, abs=1e-15)


def test_figures_are_those_of_seqeval_0_0_12() -> None:
    for seed in range(1000):
        gold, predicted = random_sentences(seed)
        assert set().union(*plain_entities(gold)) == entities_of_0_0_12(gold)
        expected = f1_of_0_0_12(gold, predicted)
        assert xtreme_f1_metric(gold, predicted).value() == pytest.approx(expected, abs=1e-12)


def test_neighbours_make_one_entity_but_symbols_do_not() -> None:
    (entities,) = plain_entities([["NOUN", "NOUN", "VERB", "INTJ", "INTJ", "SYM", "SYM", "SCONJ"]])
    assert sorted(entities, key=lambda entity: entity[1]) == [
        ("NOUN", 0, 1),
        ("VERB", 2, 2),
        ("INTJ", 3, 4),
        ("SYM", 5, 5),
        ("SYM", 6, 6),
        ("SCONJ", 7, 7),
    ]


def test_failed_sentences_and_words_are_wrong() -> None:
    gold = [["NOUN", "VERB"], ["NOUN"], ["X", "NOUN"]]
    predicted = [["NOUN", "VERB"], None, [None, "NOUN"]]
    assert token_accuracy_metric(gold, predicted).value() == pytest.approx(3 / 5)
    assert xtreme_f1_metric(gold, predicted).value() == pytest.approx(2 * 3 / (5 + 3))
    assert token_accuracy_metric(gold, [None] * 3).value() == 0.0
    assert xtreme_f1_metric(gold, [None] * 3).value() == 0.0


def test_sentences_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="sentence 1 has 2 tags, but its prediction has 1"):
        xtreme_f1_metric([["X"], ["X", "X"]], [["X"], ["X"]])
