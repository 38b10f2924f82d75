"""Several labels a row, from a folder to results."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from tests.unit.jobs.evaluate.finished import examples_of, label_sets, own_task_of, subset_of, write_evaluation

OWN = own_task_of("multi-label", "micro_f1", "macro_f1", "average_precision")
NAMES = ["spam", "news", "never"]


def test_figures_by_scikit_learn(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    is_gold = chance.random((60, 3)) < [0.5, 0.3, 0.0]
    scores = chance.random((60, 3)).astype(np.float32)
    gold = [[name for name, there in zip(NAMES, row, strict=True) if there] for row in is_gold]
    found = label_sets([*scores[:-1].tolist(), None])
    columns = {"text": ["t"] * 60, "gold": gold}
    # By class id, which is not the order of the alphabet.
    labels = {f"LABEL_{n}": name for n, name in enumerate(NAMES)}
    write_evaluation(
        tmp_path, "text-classification", OWN, {"all": (examples_of(OWN, columns), found)}, labels=labels
    )
    result = subset_of(tmp_path, OWN)
    scores[-1] = -1
    figures = {name: figure["value"] for name, figure in result["figures"].items()}
    assert figures == {
        "micro_f1": pytest.approx(f1_score(is_gold, scores >= 0.5, average="micro")),
        "macro_f1": pytest.approx(f1_score(is_gold, scores >= 0.5, average="macro", zero_division=0)),
        "average_precision": pytest.approx(average_precision_score(is_gold[:, :2], scores[:, :2])),
    }
    assert result["failed"] == [[59, "no text"]]
    assert [label["label"] for label in result["details"]["labels"]] == NAMES
    assert result["details"]["labels_left_out"] == 1


def test_a_probability_of_one_half_counts(tmp_path: Path) -> None:
    columns = {"text": ["t"], "gold": [["spam"]]}
    found = {"all": (examples_of(OWN, columns), label_sets([[0.5, 0.49, 0.0]]))}
    write_evaluation(tmp_path, "text-classification", OWN, found, labels={name: name for name in NAMES})
    assert subset_of(tmp_path, OWN)["figures"]["micro_f1"]["value"] == 1.0
