"""The page and the JSON of a fitted head."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jobs.fit.fit_page import fit_page, write_report
from jobs.fit.fitted_head import Problem
from jobs.fit.labels.targets import RowFacts, Targets
from jobs.fit.run import summary
from jobs.fit.search.fit_result import FitResult
from jobs.fit.search.layer_probe import probe_layers
from jobs.fit.search.options import FitOptions
from jobs.fit.search.search import fit_heads
from jobs.report.page import Bars, Matrix, Prose, Reliability, Table
from tests.unit.jobs.fit.made_data import made_data

OPTIONS = FitOptions(heads=("linear",), num_resamples=50)


@cache
def result_of(problem: Problem) -> FitResult:
    features, targets, facts = made_data(problem)
    if problem == "single":
        targets = Targets(problem, ("<b>left</b>", "middle", "right"), targets.values)
    probe = probe_layers(features, targets, facts, OPTIONS)
    return fit_heads(features, targets, facts, OPTIONS, probe)


@pytest.mark.parametrize("problem", ["single", "multi_label", "regression"])
def test_every_problem_is_written(problem: Problem, tmp_path: Path) -> None:
    result = result_of(problem)
    write_report(tmp_path, "topic", result, [("command", "xlmr-fit fit.toml")])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Head topic" in html
    assert "xlmr-fit fit.toml" in html
    assert "<b>left" not in html
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["probe"]["worth_keeping"] == list(result.probe.worth_keeping if result.probe else ())
    assert content["outlook"] in [
        block.text
        for section in fit_page("topic", result).sections
        for block in section.blocks
        if isinstance(block, Prose)
    ]


def test_blocks_show_the_figures_of_the_result() -> None:
    result = result_of("single")
    blocks = {b.title: b for s in fit_page("topic", result).sections for b in s.blocks if not isinstance(b, Prose)}
    accuracy, figures = blocks["Accuracy"], blocks["Figures"]
    assert isinstance(accuracy, Bars)
    assert [bar.name for bar in accuracy.bars] == ["all rows", "de", "sw"]
    assert accuracy.bars[0].value == pytest.approx(100 * result.test.overall["accuracy"].value)
    assert isinstance(figures, Table)
    assert figures.rows[0][1] == result.parts["test"]
    matrix, reliability = blocks["Confusion of labels"], blocks["Reliability of scores"]
    assert isinstance(matrix, Matrix)
    assert sum(map(sum, matrix.counts)) == result.parts["test"]
    assert isinstance(reliability, Reliability)
    heads = blocks["Heads"]
    assert isinstance(heads, Table)
    assert len(heads.rows) == len(result.candidates)
    assert sum(str(row[0]).endswith("(kept)") for row in heads.rows) == 1


def test_tags_of_words_are_set_against_a_word_list() -> None:
    features, targets, _ = made_data()
    tags = replace(targets, names=("O", "B-PER", "I-PER"))
    sentences = np.arange(2000) // 10
    words = [f"word {n % 7}" for n in range(2000)]
    facts = RowFacts(sentences.tolist(), sentences=sentences, words=words)
    options = replace(OPTIONS, heads=("linear", "mlp"), mlp_penalties=(1e-3,), max_extensions=0, max_epochs=2)
    result = fit_heads(features, tags, facts, options)
    blocks = {b.title: b for s in fit_page("ner", result).sections for b in s.blocks if not isinstance(b, Prose)}
    entities, heads = blocks["Entity F1"], blocks["Heads"]
    assert isinstance(entities, Bars)
    (listed,) = entities.references
    assert listed.values["all rows"] == pytest.approx(100 * result.test.word_list["entity_f1"])
    assert isinstance(heads, Table)
    assert "at most 2 passes" in heads.caption
    shown = summary("ner", result, Path("fitted/ner"))
    [line] = [line for line in shown.splitlines() if line.startswith("  entity_f1")]
    assert line.endswith(f", {result.test.word_list['entity_f1']:.4f} by a list of the words fitted on")


def test_without_curve_and_probe() -> None:
    result = replace(result_of("regression"), curve=None, probe=None)
    titles = [section.title for section in fit_page("score", result).sections]
    assert titles == ["Head", "Test part", "Heads tried", "Rows"]
