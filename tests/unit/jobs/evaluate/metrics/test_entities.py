"""Entity figures against seqeval 1.2 on all sentences at once."""

import random

import numpy as np
import pytest

pytest.importorskip("seqeval")

from seqeval import metrics as seqeval

from jobs.evaluate.metrics.entities import entity_f1_metric, entity_figures

TAGS = ["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG", "B-ORG", "S-ORG", "E-LOC", "B-A-B"]
Sentences = tuple[list[list[str]], list[list[str | None] | None]]


def random_sentences(seed: int) -> Sentences:
    rng = random.Random(seed)
    tags = rng.sample(TAGS, rng.randint(1, len(TAGS)))
    gold = [rng.choices(tags, k=rng.randint(0, 9)) for _ in range(rng.randint(1, 8))]
    predicted = [[tag if rng.random() < 0.7 else rng.choice(TAGS) for tag in sentence] for sentence in gold]
    blank = [[None if rng.random() < 0.03 else tag for tag in sentence] for sentence in predicted]
    return gold, [None if rng.random() < 0.1 else sentence for sentence in blank]


def plain(sentences: Sentences) -> tuple[list[list[str]], list[list[str]]]:
    gold, predicted = sentences
    return gold, [
        ["O" if found is None or found[n] is None else str(found[n]) for n in range(len(expected))]
        for expected, found in zip(gold, predicted, strict=True)
    ]


def test_f1_is_that_of_seqeval_on_sentences_and_on_resampled_sentences() -> None:
    for seed in range(1000):
        sentences = random_sentences(seed)
        metric = entity_f1_metric(*sentences)
        weights = np.random.default_rng(seed).multinomial(
            metric.num_rows, np.full(metric.num_rows, 1 / metric.num_rows)
        )
        gold, predicted = plain(sentences)
        assert metric.value() == pytest.approx(seqeval.f1_score(gold, predicted, zero_division=0), abs=1e-12)
        drawn = [[side[n] for n in np.repeat(np.arange(len(side)), weights)] for side in (gold, predicted)]
        expected = seqeval.f1_score(*drawn, zero_division=0)
        assert metric.of_weights(weights[None].astype(float))[0] == pytest.approx(expected, abs=1e-12)


def test_figures_are_those_of_seqeval() -> None:
    for seed in range(150):
        gold, predicted = plain(random_sentences(seed))
        figures = entity_figures(gold, predicted)
        assert figures.micro.f1 == pytest.approx(entity_f1_metric(gold, predicted).value(), abs=1e-12)
        report = {}
        if figures.types:
            report = seqeval.classification_report(gold, predicted, output_dict=True, zero_division=0)
            assert figures.micro.precision == report["micro avg"]["precision"]
            assert figures.micro.recall == report["micro avg"]["recall"]
            assert figures.micro.support == report["micro avg"]["support"]
        assert [*figures.types, "micro avg", "macro avg", "weighted avg"][: len(report)] == list(report)
        for name, found in figures.types.items():
            expected = report[name]
            assert [found.precision, found.recall, found.f1, found.support] == list(expected.values())
        assert figures.micro.num_predicted == sum(found.num_predicted for found in figures.types.values())


def test_figures_by_hand() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O"]]
    figures = entity_figures(gold, [["B-PER", "I-PER", "O", "I-PER"], None])
    assert figures.num_failed == 1
    assert list(figures.types) == ["LOC", "PER"]
    person = figures.types["PER"]
    assert (person.precision, person.recall, person.support, person.num_predicted) == (0.5, 0.5, 2, 2)
    assert (figures.micro.precision, figures.micro.recall) == (0.5, pytest.approx(1 / 3))
    assert figures.micro.f1 == pytest.approx(0.4)


def test_without_entities_all_is_0() -> None:
    figures = entity_figures([["O"], []], [["O"], []])
    assert (figures.micro.f1, figures.micro.support, figures.types) == (0.0, 0, {})
    assert entity_f1_metric([["O"], []], [["O"], []]).value() == 0.0


def test_no_warning_of_tags_without_prefixes_escapes() -> None:
    assert entity_f1_metric([["PER", "O"]], [["PER", "O"]]).value() == 1.0
    assert entity_figures([["PER", "O"]], [["PER", "O"]]).micro.f1 == 1.0


def test_sentences_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="sentence 0 has 1 tags, but its prediction has 2"):
        entity_f1_metric([["O"]], [["O", "O"]])
