"""Predictions are put beside the examples that they are for, whatever parts there are."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.evaluate.command import main
from jobs.evaluate.folder import EvaluationFolder
from jobs.evaluate.predictions import NOT_ANNOTATED, aligned, read_predictions
from pipeline.errors import InputError
from tests.unit.jobs.evaluate.finished import (
    classes,
    examples_of,
    part_name,
    part_of,
    results_of,
    subset_of,
    task_of,
    write_evaluation,
)

SST2 = task_of("glue", "sst2")
NAMES = ["negative", "positive"]


def examples(num_rows: int, text: str = "t") -> pa.Table:
    columns = {
        "text": [f"{text}{row}" for row in range(num_rows)],
        "gold": [NAMES[row % 2] for row in range(num_rows)],
    }
    return examples_of(SST2, columns)


def part(table: pa.Table, begin: int, end: int, label: str | None = None) -> pa.Table:
    """Predictions of rows, the gold label unless it is given."""
    rows = table.slice(begin, end - begin)
    return part_of(SST2, rows, classes([label or gold for gold in rows["gold"].to_pylist()]))


def labels_of(table: pa.Table, parts: list[pa.Table]) -> list[str | None]:
    found: list[str | None] = aligned(table, parts).field("label")
    return found


def test_parts_in_any_order() -> None:
    table = examples(10)
    parts = [part(table, 7, 10), part(table, 0, 3), part(table, 3, 7)]
    random.Random(1).shuffle(parts)
    found = aligned(table, parts)
    assert found.field("label") == table["gold"].to_pylist()
    assert found.num_tokens.to_pylist() == [7] * 10
    assert found.failed == []


def test_a_lost_fragment_leaves_its_rows_without_prediction() -> None:
    table = examples(6)
    found = aligned(table, [part(table, 4, 6), part(table, 0, 2)])
    assert found.field("label") == ["negative", "positive", None, None, "negative", "positive"]
    assert found.failed == [(2, NOT_ANNOTATED), (3, NOT_ANNOTATED)]


@pytest.mark.parametrize("num_rows", [0, 1, 3])
def test_no_part_at_all(num_rows: int) -> None:
    found = aligned(examples(num_rows), [])
    assert found.field("label") == [None] * num_rows
    assert found.failed == [(row, NOT_ANNOTATED) for row in range(num_rows)]
    assert found.with_gold.examples.num_rows == num_rows


def test_parts_of_an_earlier_version_are_left_out() -> None:
    """Other texts in rows of the same number, or rows that are there no longer."""
    table = examples(4)
    assert labels_of(table, [part(examples(4, "earlier"), 0, 4)]) == [None] * 4
    assert labels_of(table, [part(examples(6), 2, 6)]) == [None] * 4
    # A longer version after --limit was raised: what is the same is kept.
    assert labels_of(table, [part(examples(2), 0, 2)])[:3] == ["negative", "positive", None]


def test_numbers_need_not_follow_each_other() -> None:
    """Rows of one value of --by keep their numbers in the file."""
    table = examples(9).take(pa.array([1, 4, 8]))
    assert labels_of(table, [part(table, 1, 3), part(table, 0, 1)]) == ["positive", "negative", "negative"]
    assert labels_of(table, [part(examples(9), 0, 3)]) == [None] * 3


def test_all_rows_failed(tmp_path: Path) -> None:
    table = examples(5)
    write_evaluation(tmp_path, "glue", SST2, {"all": (table, [None] * 5)})
    result = subset_of(tmp_path, SST2)
    assert result["figures"]["accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert len(result["failed"]) == 5
    assert result["details"]["calibration"]["num_failed"] == 5


def test_parts_of_other_subsets_and_in_hidden_folders_are_not_read(tmp_path: Path) -> None:
    xnli = task_of("xnli")
    subsets = {}
    for language in ("de", "de.x"):
        columns = {"text": [language], "text_pair": ["p"], "gold": ["neutral"]}
        subsets[language] = (examples_of(xnli, columns), classes(["neutral"]))
    folder = write_evaluation(tmp_path, "xnli", xnli, subsets)
    (tmp_path / "xnli/_restart").mkdir()
    (tmp_path / "xnli" / part_name("de")).rename(tmp_path / "xnli/_restart" / part_name("de"))
    assert [table.num_rows for table in folder.parts("xnli", "de")] == []
    assert [table.num_rows for table in folder.parts("xnli", "de.x")] == [1]


def test_more_than_ten_thousand_parts_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    table = examples(2)
    folder = write_evaluation(tmp_path, "glue", SST2, {"all": (table, classes(NAMES))})
    (tmp_path / "sst2" / part_name("all")).unlink()
    for row, index in enumerate((99_999, 100_000)):
        pq.write_table(part(table, row, row + 1), tmp_path / "sst2" / part_name("all", index, 100_001))
    assert [part["row"].to_pylist() for part in folder.parts("sst2", "all")] == [[0], [1]]


@pytest.mark.parametrize("change", ["lost", "shorter"])
def test_examples_of_an_unfinished_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """As after a run with another --limit that was killed before it ended."""
    folder = write_evaluation(tmp_path, "glue", SST2, {"all": (examples(4), classes(NAMES * 2))})
    if change == "lost":
        (tmp_path / "_inputs/sst2/all.parquet").unlink()
    else:
        folder.write_examples("sst2", "all", examples(2))
    sha256 = folder.record().tasks["sst2"].subsets["all"].sha256
    with pytest.raises(InputError, match="expected those of its last finished run"):
        read_predictions(EvaluationFolder.open(str(tmp_path)), "sst2", "all", sha256)
    assert main(["--score-only", str(tmp_path)]) == 2
    assert main(["--compare", str(tmp_path), str(tmp_path)]) == 2
    assert "run the evaluation again with its model" in capsys.readouterr().err


def test_a_label_that_the_recorded_head_does_not_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_evaluation(tmp_path, "glue", SST2, {"all": (examples(2), classes(["positive", "spam"]))})
    assert main(["--score-only", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "found the predicted label spam, expected those of the recorded head: negative, positive" in error


def test_one_language_without_gold_is_named_and_in_no_mean(tmp_path: Path) -> None:
    xnli = task_of("xnli")
    subsets = {}
    for language, gold in zip(xnli.subsets, [None, *["neutral"] * 14], strict=True):
        columns = {"text": ["t"], "text_pair": ["p"], "gold": [gold]}
        subsets[language] = (examples_of(xnli, columns), classes(["neutral"]))
    write_evaluation(tmp_path, "xnli", xnli, subsets)
    results = results_of(tmp_path)
    task = results["tasks"]["xnli"]
    assert len(task["averages"]["mean"]["subsets"]) == 14
    assert task["missing"] == [xnli.subsets[0]]
    assert f"Without gold labels, so in no figure: xnli {xnli.subsets[0]}" in results["notes"]
