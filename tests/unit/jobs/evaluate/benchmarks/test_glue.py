"""GLUE's tasks, as one folder each or all together."""

from pathlib import Path

import pyarrow as pa
import pytest

from jobs.evaluate.benchmarks.glue import BENCHMARK
from jobs.evaluate.data.files import DataFiles
from pipeline.errors import InputError
from tests.shared_data import shared_data
from tests.unit.jobs.evaluate.benchmarks.reading import read_task, task_of
from tests.unit.jobs.evaluate.hub_files import NLI, SHARD, class_label, nli, write

VALIDATION = SHARD.format("validation")
COLUMNS = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}
LABELS = {
    "cola": ("unacceptable", "acceptable"),
    "sst2": ("negative", "positive"),
    "mrpc": ("not_equivalent", "equivalent"),
    "qqp": ("not_duplicate", "duplicate"),
    "qnli": ("entailment", "not_entailment"),
    "rte": ("entailment", "not_entailment"),
    "wnli": ("not_entailment", "entailment"),
}


def write_task(path: Path, name: str, *, has_names: bool = True) -> Path:
    texts = {column: ["a", "b", "c"] for column in COLUMNS[name]}
    features = {"label": class_label(*LABELS[name])} if has_names else None
    return write(path, {**texts, "label": [0, 1, -1], "idx": [0, 1, 2]}, features)


@pytest.mark.parametrize("has_names", [True, False])
@pytest.mark.parametrize("name", list(COLUMNS))
def test_classes_by_name(tmp_path: Path, name: str, has_names: bool) -> None:
    write_task(tmp_path / name / VALIDATION, name, has_names=has_names)
    for folder in (tmp_path, tmp_path / name):
        (table,) = read_task(f"glue/{name}", folder).values()
        assert table["gold"].to_pylist() == [*LABELS[name], None]
        assert table["text"].to_pylist() == ["a", "b", "c"]
        assert table["text_pair"].null_count == (3 if len(COLUMNS[name]) == 1 else 0)


def test_order_of_names_in_the_file_counts(tmp_path: Path) -> None:
    texts = {column: ["a", "b"] for column in COLUMNS["rte"]}
    swapped = {"label": class_label("not_entailment", "entailment")}
    write(tmp_path / "rte" / VALIDATION, {**texts, "label": [0, 1]}, swapped)
    assert read_task("glue/rte", tmp_path)["all"]["gold"].to_pylist() == ["not_entailment", "entailment"]


def test_scores(tmp_path: Path) -> None:
    columns = {"sentence1": ["a"] * 3, "sentence2": ["b"] * 3, "label": pa.array([5.0, 2.5, -1.0], pa.float32())}
    write(tmp_path / "stsb" / VALIDATION, columns)
    assert read_task("glue/stsb", tmp_path)["all"]["gold"].to_pylist() == [5.0, 2.5, None]


def test_matched_and_mismatched_in_one_folder(tmp_path: Path) -> None:
    for part in ("matched", "mismatched"):
        write(tmp_path / "mnli" / SHARD.format(f"validation_{part}"), nli(part), {"label": class_label(*NLI)})
        write(tmp_path / "mnli" / SHARD.format(f"test_{part}"), nli(part, (-1, -1)))
        # The hub has them in folders of their own as well.
        write(tmp_path / f"mnli_{part}" / VALIDATION, nli(part))
    write(tmp_path / "mnli" / SHARD.format("train"), nli())
    assert task_of("glue/mnli").splits(DataFiles.open(str(tmp_path))) == ("test", "validation")
    for folder in (tmp_path, tmp_path / "mnli"):
        tables = read_task("glue/mnli", folder)
        assert list(tables) == ["matched", "mismatched"]
        assert tables["mismatched"]["text"].to_pylist() == ["mismatched0", "mismatched1", "mismatched2"]
        assert tables["matched"]["gold"].to_pylist() == list(NLI)
    assert read_task("glue/mnli", tmp_path, "test")["matched"]["gold"].null_count == 2
    assert list(read_task("glue/mnli", tmp_path, wanted=["mismatched"])) == ["mismatched"]


def test_matched_and_mismatched_in_folders_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "mnli_matched" / "validation" / "0000.parquet", nli("m"))
    write(tmp_path / "mnli_mismatched" / "validation" / "0000.parquet", nli("mm"))
    assert list(read_task("glue/mnli", tmp_path)) == ["matched", "mismatched"]
    assert list(read_task("glue/mnli", tmp_path / "mnli_matched")) == ["matched"]


def test_diagnostic_set_is_a_test_split_and_uses_the_head_of_mnli(tmp_path: Path) -> None:
    write(tmp_path / "ax" / SHARD.format("test"), nli(labels=(-1, -1)))
    assert read_task("glue/ax", tmp_path)["all"]["gold"].null_count == 2
    assert task_of("glue/ax").uses_head_of == "mnli"


def test_split_of_mrpc_with_gold(tmp_path: Path) -> None:
    write_task(tmp_path / "mrpc" / SHARD.format("test"), "mrpc")
    assert read_task("glue/mrpc", tmp_path)["all"].num_rows == 3


def test_folder_of_another_task_is_refused(tmp_path: Path) -> None:
    write_task(tmp_path / "mrpc" / VALIDATION, "mrpc", has_names=False)
    with pytest.raises(
        InputError, match=r"--data: .* has no files of split 'validation' .*, rte/validation-00000"
    ):
        read_task("glue/rte", tmp_path / "mrpc")
    with pytest.raises(
        InputError, match=r"--data: .* has no files of split 'validation' .*, mnli/validation_matched"
    ):
        read_task("glue/mnli", tmp_path)


def test_files_of_another_task_are_refused_by_their_class_names(tmp_path: Path) -> None:
    write_task(tmp_path / "rte" / VALIDATION, "mrpc")
    with pytest.raises(
        InputError, match=r"found the class names not_equivalent, equivalent, expected entailment, n"
    ):
        read_task("glue/rte", tmp_path)


def test_tasks_and_metrics() -> None:
    assert {task.name: task.metrics for task in BENCHMARK.tasks} == {
        "cola": ("matthews",),
        "sst2": ("accuracy",),
        "mrpc": ("accuracy", "f1"),
        "stsb": ("pearson", "spearman"),
        "qqp": ("accuracy", "f1"),
        "mnli": ("accuracy",),
        "qnli": ("accuracy",),
        "rte": ("accuracy",),
        "wnli": ("accuracy",),
        "ax": ("matthews",),
    }
    for task in BENCHMARK.tasks:
        assert task.positive is None or task.positive == task.labels[1]
        assert all(figures.split == "validation" for figures in task.published)


def test_shared_files() -> None:
    folder = shared_data("glue")
    counts = {}
    for name in ("rte", "qnli", "sst2", "wnli", "mrpc"):
        gold = read_task(f"glue/{name}", folder)["all"]["gold"].to_pylist()
        counts[name] = {label: gold.count(label) for label in sorted(set(gold))}
    assert counts["rte"] == {"entailment": 146, "not_entailment": 131}
    assert counts["wnli"] == {"entailment": 31, "not_entailment": 40}
    assert counts["mrpc"] == {"equivalent": 1147, "not_equivalent": 578}
    assert sum(counts["qnli"].values()) == 5463
    assert sum(counts["sst2"].values()) == 872
    scores = read_task("glue/stsb", folder)["all"]["gold"].to_pylist()
    assert (len(scores), min(scores), max(scores)) == (1500, 0.0, 5.0)
