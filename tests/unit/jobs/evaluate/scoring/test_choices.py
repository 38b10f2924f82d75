"""Multiple choice, from a folder to results."""

from pathlib import Path

from tests.unit.jobs.evaluate.finished import (
    choices,
    examples_of,
    results_of,
    subset_of,
    task_of,
    write_evaluation,
)


def test_accuracy_and_the_most_frequent_choice(tmp_path: Path) -> None:
    task = task_of("xcopa")
    columns = {"prompt": ["p"] * 6, "choices": [["k", "l"]] * 6, "gold": [0, 1, 1, 1, 0, None]}
    found = choices([0, 1, 0, 1, None, 1])
    write_evaluation(tmp_path, "xcopa", task, {"et": (examples_of(task, columns), found)})
    result = subset_of(tmp_path, task, "et")
    assert result["num_rows"] == 5
    assert result["figures"]["accuracy"]["value"] == 3 / 5
    assert result["baseline"] == {"accuracy": 3 / 5}
    assert result["failed"] == [[4, "no text"]]


def test_the_mean_without_english_stands_first(tmp_path: Path) -> None:
    task = task_of("xcopa")
    columns = {"prompt": ["p"] * 2, "choices": [["k", "l"]] * 2, "gold": [0, 1]}
    found = {"et": [0, 1], "zh": [1, 1], "en": [1, 0]}
    subsets = {name: (examples_of(task, columns), choices(numbers)) for name, numbers in found.items()}
    write_evaluation(tmp_path, "xcopa", task, subsets)
    averages = results_of(tmp_path)["tasks"]["xcopa"]["averages"]
    assert {name: found["figures"]["accuracy"]["value"] for name, found in averages.items()} == {
        "mean without en": 0.75,
        "mean": 0.5,
    }
