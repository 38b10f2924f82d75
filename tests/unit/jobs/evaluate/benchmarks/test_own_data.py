"""One's own files: the kind follows from the type of the gold column."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.evaluate.benchmarks.own_data import OwnColumns, OwnTask, own_splits, own_task
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import choose_split
from jobs.evaluate.examples import SCHEMAS, BenchmarkTask
from pipeline.errors import ConfigError, InputError
from tests.unit.jobs.evaluate.hub_files import class_label, write

COLUMNS: Mapping[OwnTask, Mapping[str, str | tuple[str, ...]]] = {
    "text-classification": {"text": "body"},
    "token-classification": {"words": "tokens"},
    "question-answering": {"question": "q", "context": "c"},
    "multiple-choice": {"prompt": "body", "choices": "options"},
}
ROWS = {
    "body": ["a", "b"],
    "other": ["x", "y"],
    "tokens": [["u", "v"], ["w"]],
    "q": ["q0", "q1"],
    "c": ["c0", "c1"],
    "options": [["k", "l"], ["m", "n"]],
    "lang": ["fr", "de"],
}
ANSWERS = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())})


def read_own(
    folder: Path,
    task: OwnTask,
    gold: Any,
    *,
    named: str = "gold",
    features: dict[str, Any] | None = None,
    **changed: Any,
) -> tuple[BenchmarkTask, dict[str, pa.Table]]:
    write(folder / "rows.parquet", {**ROWS, "gold": gold}, features)
    own = OwnColumns(**{"task": task, "gold": named, "columns": COLUMNS[task], **changed})
    files = DataFiles.open(str(folder))
    found = own_task(files, own, "all")
    return found, found.read(files, choose_split(found, files, None), None)


@pytest.mark.parametrize(
    ("task", "gold", "kind", "expected"),
    [
        ("text-classification", ["no", None], "classification", ["no", None]),
        ("text-classification", [3, -1], "classification", ["3", None]),
        ("text-classification", [["x", "y"], []], "multi-label", [["x", "y"], []]),
        ("text-classification", [-1.0, 0.5], "regression", [-1.0, 0.5]),
        ("token-classification", [["O", "B-X"], None], "words", [["O", "B-X"], None]),
        ("token-classification", [[4, 5], [4]], "words", [["4", "5"], ["4"]]),
        ("multiple-choice", [1, 0], "multiple-choice", [1, 0]),
        ("question-answering", ["u", None], "question-answering", [["u"], None]),
        ("question-answering", [["u"], []], "question-answering", [["u"], []]),
        (
            "question-answering",
            pa.array([{"text": ["u", "v"], "answer_start": [0, 1]}, None], ANSWERS),
            "question-answering",
            [["u", "v"], None],
        ),
    ],
)
def test_kinds(tmp_path: Path, task: OwnTask, gold: Any, kind: str, expected: list[Any]) -> None:
    found, tables = read_own(tmp_path, task, gold)
    assert found.kind == kind
    assert tables["all"].schema == SCHEMAS[found.kind]
    assert tables["all"]["gold"].to_pylist() == expected


def test_names_of_class_ids(tmp_path: Path) -> None:
    _, tables = read_own(tmp_path, "text-classification", [1, 0], features={"gold": class_label("no", "yes")})
    assert tables["all"]["gold"].to_pylist() == ["yes", "no"]


def test_columns_by_role(tmp_path: Path) -> None:
    _, tables = read_own(
        tmp_path, "text-classification", [1, 0], columns={"text": "body", "text_pair": "other"}, by="lang"
    )
    assert {key: table.to_pylist() for key, table in tables.items()} == {
        "de": [{"row": 1, "text": "b", "text_pair": "y", "gold": "0"}],
        "fr": [{"row": 0, "text": "a", "text_pair": "x", "gold": "1"}],
    }
    _, tables = read_own(
        tmp_path, "multiple-choice", [1, 0], columns={"prompt": "q", "choices": ("body", "other")}
    )
    assert tables["all"]["choices"].to_pylist() == [["a", "x"], ["b", "y"]]


def test_metrics_and_rules(tmp_path: Path) -> None:
    assert read_own(tmp_path, "token-classification", [["O", "I-X"], ["O"]])[0].metrics[0] == "entity_f1"
    assert read_own(tmp_path, "token-classification", [["O", "X"], ["O"]])[0].metrics == ("token_accuracy",)
    assert read_own(tmp_path, "question-answering", [["u"], ["v"]])[0].rules == "squad-1.1"
    assert read_own(tmp_path, "question-answering", [["u"], []])[0].rules == "squad-2.0"
    assert read_own(tmp_path, "text-classification", ["u", "v"])[0].rules is None


def test_splits_where_files_name_them(tmp_path: Path) -> None:
    own = OwnColumns("text-classification", "gold", {"text": "body"})
    for split in ("test", "train"):
        write(tmp_path / f"{split}.parquet", {**ROWS, "gold": [split, split]})
    files = DataFiles.open(str(tmp_path))
    assert own_splits(files) == ("test", "train")
    task = own_task(files, own, "test")
    assert task.read(files, "train", None)["all"]["gold"].to_pylist() == ["train", "train"]
    with pytest.raises(InputError, match=r"--data: .* has no files of split 'all' .* found test.parquet, train"):
        own_task(files, own, "all")


def test_several_files_without_split_are_read_together(tmp_path: Path) -> None:
    for name in ("part-0", "part-1"):
        write(tmp_path / f"{name}.parquet", {**ROWS, "gold": [name, None]})
    files = DataFiles.open(str(tmp_path))
    task = own_task(files, OwnColumns("text-classification", "gold", {"text": "body"}), "all")
    assert task.read(files, "all", None)["all"]["gold"].to_pylist() == ["part-0", None, "part-1", None]


@pytest.mark.parametrize(
    ("task", "gold", "expected"),
    [
        ("text-classification", [True, False], "type bool, expected string or an integer type"),
        ("text-classification", [{"a": 1}, {"a": 2}], "type struct<a: int64>, expected string or an integer type"),
        ("token-classification", ["O", "O"], "type string, expected list<string>, or lists of an integer type"),
        ("multiple-choice", ["k", "n"], "type string, expected an integer type: the number of the right choice"),
        ("question-answering", [1, 2], "type int64, expected struct<text: list<string>>, list<string> or string"),
    ],
)
def test_gold_of_another_type_is_refused(tmp_path: Path, task: OwnTask, gold: Any, expected: str) -> None:
    with pytest.raises(InputError, match=f"--gold: rows.parquet: column 'gold' has {expected}.*; name another"):
        read_own(tmp_path, task, gold)


def test_gold_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"--gold: rows.parquet: column 'label' is missing; the .*expected .*; name"
    ):
        read_own(tmp_path, "text-classification", ["a", "b"], named="label")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"columns": {}},
            "--text: found no column, expected one, as text-classification reads text; name the col",
        ),
        (
            {"columns": {"text": "body", "words": "tokens"}},
            "--words: found a column, but text-classification does n",
        ),
    ],
)
def test_roles_that_do_not_fit_the_task_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_own(tmp_path, "text-classification", ["a", "b"], **changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"columns": {"text": "bodi"}}, "--text: rows.parquet: column 'bodi' is missing; did you mean 'body'"),
        ({"columns": {"text": "tokens"}}, "--text: .*column 'tokens' has type list<.*>, expected string"),
        ({"by": "tokens"}, "--by: .*column 'tokens' has type list<.*>, expected string or an integer type"),
        (
            {"columns": {"text": "bodi"}, "fields": {"text": "--set input.text"}},
            "--set input.text: rows.parquet: column 'bodi' is missing",
        ),
    ],
)
def test_columns_that_are_absent_or_of_another_type_are_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_own(tmp_path, "text-classification", ["a", "b"], **changed)


def test_choice_that_the_row_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--gold: column 'gold' of rows.parquet: row 1 .from 0. names no choice"):
        read_own(tmp_path, "multiple-choice", [1, 2])
