"""The whole search on problems that are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from jobs.fit.feature_blocks import FeatureArrays
from jobs.fit.fitted_head import Problem
from jobs.fit.labels.splits import split_rows
from jobs.fit.labels.targets import RowFacts, Targets
from jobs.fit.search.fit_result import to_json
from jobs.fit.search.layer_probe import probe_layers
from jobs.fit.search.options import FitOptions
from jobs.fit.search.search import fit_heads
from pipeline.errors import ConfigError
from tests.unit.jobs.fit.made_data import made_data

OPTIONS = FitOptions(heads=("linear",), num_resamples=100)


def test_the_layer_that_tells_is_found_and_its_figures_are_those_of_the_head() -> None:
    features, targets, facts = made_data()
    result = fit_heads(features, targets, facts, OPTIONS)
    assert result.chosen.layers == (5,), "a mix is not simpler than the layer that has it all"
    assert {candidate.layers for candidate in result.candidates} == {(2,), (5,), (9,), (2, 5, 9)}

    rows = split_rows(targets, facts, OPTIONS.seed)["test"]
    assert result.parts["test"] == len(rows)
    predicted = result.head.logits([features.arrays[5][rows]]).argmax(axis=1)
    accuracy = result.test.overall["accuracy"]
    assert accuracy.value == pytest.approx(accuracy_score(targets.values[rows], predicted))
    assert accuracy.low < accuracy.value < accuracy.high
    assert accuracy.low > result.test.baseline["accuracy"]
    assert set(result.test.languages) == {"de", "sw"}
    assert sum(map(sum, result.test.confusion)) == len(rows)
    assert np.trace(result.test.confusion) == pytest.approx(accuracy.value * len(rows))
    assert result.test.calibrated is not None
    assert result.test.calibrated.expected_error < 0.12


@pytest.mark.parametrize(("problem", "metric"), [("multi_label", "macro_f1"), ("regression", "spearman")])
def test_other_problems(problem: Problem, metric: str) -> None:
    features, targets, facts = made_data(problem)
    result = fit_heads(features, targets, facts, OPTIONS)
    assert result.metric == metric
    assert result.chosen.layers == (5,)
    assert result.test.overall[metric].low > result.test.baseline[metric] + 0.2
    assert (result.head.temperature == 1) == (problem == "regression")
    assert result.curve is not None
    assert len(result.curve.points) == 4


def test_the_same_arguments_give_the_same_head_and_json_holds_the_rest() -> None:
    features, targets, facts = made_data()
    first, second = (fit_heads(features, targets, facts, OPTIONS) for _ in range(2))
    for (weight, bias), (other_weight, other_bias) in zip(first.head.dense, second.head.dense, strict=True):
        np.testing.assert_array_equal(weight, other_weight)
        np.testing.assert_array_equal(bias, other_bias)
    content = json.loads(json.dumps(to_json(first), allow_nan=False))
    assert content["chosen"]["layers"] == [5]
    assert content["test"]["overall"]["accuracy"]["value"] == first.test.overall["accuracy"].value
    assert "head" in content
    assert "dense" not in content["head"]


def test_a_mix_is_kept_where_two_layers_have_half_each() -> None:
    generator = np.random.default_rng(4)
    halves = generator.normal(size=(2, 3000, 5))
    values = halves[0, :, 0] + halves[1, :, 0]
    features = FeatureArrays({3: 20 * halves[0], 8: halves[1] - 7})
    targets, facts = Targets("regression", ("score",), values), RowFacts(range(3000))
    result = fit_heads(features, targets, facts, OPTIONS)
    assert result.chosen.layers == (3, 8)
    assert result.head.mix is not None
    assert result.mix_weights == pytest.approx((0.5, 0.5), abs=0.05)
    assert result.test.overall["spearman"].value > 0.99
    # The head's own arithmetic on features as they are.
    outputs = result.head.logits([features.arrays[3], features.arrays[8]])[:, 0]
    assert np.corrcoef(outputs, values)[0, 1] > 0.99


def test_words_are_scored_as_entities_too() -> None:
    features, targets, _ = made_data()
    tags = replace(targets, names=("O", "B-PER", "I-PER"))
    sentences = np.arange(2000) // 10
    words = [f"word {value}" for value in targets.values]
    facts = RowFacts(sentences.tolist(), sentences=sentences, words=words)
    result = fit_heads(features, tags, facts, replace(OPTIONS, pooling="word"))
    assert result.metric == "entity_f1"
    assert result.test.overall["entity_f1"].low > result.test.baseline["entity_f1"]
    assert result.test.word_list["entity_f1"] == 1, "these words give their tags away"


def test_rows_that_were_fitted_on_as_well_are_told() -> None:
    features, targets, facts = made_data()
    parts = split_rows(targets, facts, 0)
    for layer in features.arrays.values():
        layer[parts["test"][:7]] = layer[parts["fit"][:7]]
    duplicates = fit_heads(features, targets, facts, replace(OPTIONS, duplicate_cosine=0.99999)).duplicates
    assert {part: found.num_found for part, found in duplicates.items()} == {
        "choose": 0,
        "calibrate": 0,
        "test": 7,
    }


def test_rare_labels_are_refused() -> None:
    features, targets, facts = made_data(num_rows=60)
    with pytest.raises(ConfigError, match="lower min_rows"):
        fit_heads(features, targets, facts, replace(OPTIONS, min_rows=8))


def test_a_probe_takes_whole_groups_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets, facts = made_data()
    monkeypatch.setattr("jobs.fit.search.layer_probe.MAX_ROWS", 500)
    probe = probe_layers(features, targets, facts, OPTIONS)
    assert probe.num_rows == pytest.approx(500, abs=8)
    assert max(probe.layers, key=lambda each: each.metric).layers == (5,)


def test_a_probe_says_which_layers_to_keep() -> None:
    features, targets, facts = made_data()
    arrays = {**features.arrays, 6: features.arrays[5] + 0.01}
    probe = probe_layers(FeatureArrays(arrays), targets, facts, OPTIONS, max_layers=2)
    assert [candidate.layers for candidate in probe.layers] == [(2,), (5,), (6,), (9,)]
    assert len(probe.worth_keeping) == 2
    assert probe.worth_keeping[0] == 2
    assert probe.worth_keeping[1] in (5, 6), "one of two neighbours that are the same"


def test_a_hidden_layer_is_kept_where_no_linear_head_is_as_good() -> None:
    rows = np.random.default_rng(3).normal(size=(2000, 3))
    features = FeatureArrays({1: rows, 4: rows[::-1] + 1})
    targets = Targets("single", ("same", "other"), (rows[:, 0] * rows[:, 1] < 0).astype(np.int64))
    options = replace(
        OPTIONS, heads=("linear", "mlp"), hidden_size=16, mlp_penalties=(1e-4,), max_extensions=0, max_epochs=25
    )
    result = fit_heads(features, targets, RowFacts(range(2000)), options)
    assert result.chosen.kind == "mlp"
    assert result.chosen.layers == (1,)
    assert result.head.activation == "relu"
    assert len(result.head.dense) == 2
    assert result.test.overall["accuracy"].value > 0.9
    assert {each.kind for each in result.candidates} == {"linear", "mlp"}


def test_the_simpler_head_is_kept_where_a_hidden_layer_brings_nothing() -> None:
    features, targets, facts = made_data()
    options = replace(OPTIONS, heads=("linear", "mlp"), mlp_penalties=(1e-3,), max_extensions=0)
    result = fit_heads(features, targets, facts, options)
    assert (result.chosen.kind, result.chosen.layers) == ("linear", (5,))
    assert sum(each.kind == "mlp" for each in result.candidates) == 3, "on the two best layers and on the mix"


def test_maxima_are_not_mixed_and_balanced_labels_are_compared_by_macro_f1() -> None:
    features, targets, facts = made_data()
    result = fit_heads(features, targets, facts, replace(OPTIONS, pooling="max", class_weights="balanced"))
    assert {len(each.layers) for each in result.candidates} == {1}
    assert result.metric == "macro_f1"
    assert result.head.pooling == "max"
