"""Class labels, from a folder to results."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from tests.unit.jobs.evaluate.finished import (
    classes,
    examples_of,
    own_task_of,
    results_of,
    subset_of,
    task_of,
    write_evaluation,
)

OWN = own_task_of("classification", "accuracy", "macro_f1", "micro_f1")
FAILED = "(failed)"


def random_labels(names: list[str], num_rows: int = 200) -> tuple[list[str], list[str | None]]:
    chance = random.Random(7)
    gold = [chance.choice(names) for _ in range(num_rows)]
    found = [chance.choice([label, *names, None]) for label in gold]
    return gold, found


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("cola", matthews_corrcoef),
        ("sst2", accuracy_score),
        ("mrpc", lambda gold, found: f1_score(gold, found, labels=["equivalent"], average="macro")),
        ("qqp", lambda gold, found: f1_score(gold, found, labels=["duplicate"], average="macro")),
        ("ax", matthews_corrcoef),
    ],
)
def test_glue_by_scikit_learn(tmp_path: Path, name: str, metric: Callable[..., float]) -> None:
    task = task_of("glue", name)
    gold, found = random_labels(list(task.labels))
    columns = {"text": ["t"] * len(gold), "gold": gold}
    write_evaluation(tmp_path, "glue", task, {"all": (examples_of(task, columns), classes(found))})
    result = subset_of(tmp_path, task)
    expected = metric(gold, [label or FAILED for label in found])
    assert result["figures"][task.metrics[-1]]["value"] == pytest.approx(expected)
    assert len(result["failed"]) == found.count(None)
    majority = max(sorted(set(gold)), key=gold.count)
    assert result["baseline"][task.metrics[-1]] == pytest.approx(metric(gold, [majority] * len(gold)))


def test_details_by_label_and_confusion(tmp_path: Path) -> None:
    gold, found = ["a", "a", "b", "c"], ["a", "b", "b", None]
    columns = {"text": ["t"] * 4, "gold": gold}
    folder = {"all": (examples_of(OWN, columns), classes(found))}
    write_evaluation(tmp_path, "text-classification", OWN, folder, labels={n: n for n in "abcd"})
    result = subset_of(tmp_path, OWN)
    assert result["figures"]["macro_f1"]["value"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)  # d never occurs
    assert result["figures"]["micro_f1"]["value"] == 0.5
    details = result["details"]
    assert [label["label"] for label in details["labels"]] == ["a", "b", "c", "d"]
    assert details["labels"][0] == {
        "label": "a", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2, "num_predicted": 1
    }  # fmt: skip
    # The last column is of failed rows.
    assert details["confusion"] == [[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert details["calibration"]["num_failed"] == 1


def test_labels_of_the_head_are_renamed_and_data_of_ones_own_have_no_score(tmp_path: Path) -> None:
    columns = {"text": ["t"] * 2, "gold": ["good", "bad"]}
    found = {"all": (examples_of(OWN, columns), classes(["LABEL_1", "LABEL_0"]))}
    write_evaluation(tmp_path, "text-classification", OWN, found, labels={"LABEL_0": "bad", "LABEL_1": "good"})
    task = results_of(tmp_path)["tasks"]["own"]
    assert task["subsets"]["all"]["figures"]["accuracy"]["value"] == 1.0
    assert task["score"] is None
