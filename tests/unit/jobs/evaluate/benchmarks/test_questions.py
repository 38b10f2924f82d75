"""XQuAD, TyDi QA, SQuAD and MLQA."""

from pathlib import Path

import pyarrow as pa
import pytest

from jobs.evaluate.benchmarks import mlqa, tydiqa, xquad
from pipeline.errors import InputError
from tests.shared_data import shared_data
from tests.unit.jobs.evaluate.benchmarks.reading import read_task, task_of
from tests.unit.jobs.evaluate.hub_files import SHARD, nli, squad, write

VALIDATION = SHARD.format("validation")


@pytest.mark.parametrize("folder", ["xquad.{}", "XQuAD.{}", "{}"])
def test_xquad(tmp_path: Path, folder: str) -> None:
    for language in ("ro", "en"):
        write(tmp_path / folder.format(language) / VALIDATION, squad())
    tables = read_task("xquad", tmp_path)
    assert list(tables) == ["en", "ro"]
    assert tables["ro"].to_pylist() == [
        {"row": 0, "id": "a", "question": "q a", "context": "c a", "gold": ["x"]},
        {"row": 1, "id": "b", "question": "q b", "context": "c b", "gold": ["y", "z"]},
    ]


def test_languages_with_other_questions_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "xquad.en" / VALIDATION, squad())
    write(tmp_path / "xquad.de" / VALIDATION, squad(("b", "a")))
    with pytest.raises(InputError, match=r"--data: xquad de: found other ids, .* as in en, .*; fetch"):
        read_task("xquad", tmp_path)


@pytest.mark.parametrize("folder", ["secondary_task", "tydiqa", "", "data"])
def test_tydiqa_in_one_file_by_the_begin_of_the_id(tmp_path: Path, folder: str) -> None:
    table = squad(("finnish--1-0", "arabic-2-1", "finnish-3"), (["x"], ["y"], ["z"]))
    write(tmp_path / folder / VALIDATION, table)
    write(tmp_path / "primary_task" / VALIDATION, nli())
    tables = read_task("tydiqa", tmp_path)
    assert {code: table["row"].to_pylist() for code, table in tables.items()} == {"ar": [1], "fi": [0, 2]}
    assert list(read_task("tydiqa", tmp_path, wanted=["fi"])) == ["fi"]
    with pytest.raises(InputError, match=r"--languages: found 'sw', of which .*; expected some .*: ar, fi; leave"):
        read_task("tydiqa", tmp_path, wanted=["sw"])


def test_tydiqa_in_folders(tmp_path: Path) -> None:
    for folder in ("swahili", "ko", "tydiqa.te"):
        write(tmp_path / folder / VALIDATION, squad())
    assert list(read_task("tydiqa", tmp_path)) == ["ko", "sw", "te"]


def test_ids_without_language_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "secondary_task" / VALIDATION, squad(("finnish-1", "56be4db0")))
    with pytest.raises(
        InputError, match=r"--data: secondary_task/.*: the id of row 1 .* expected one of english, .*; n"
    ):
        read_task("tydiqa", tmp_path)


@pytest.mark.parametrize("folder", ["plain_text", "squad", ""])
def test_squad(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder / VALIDATION, squad())
    assert read_task("squad", tmp_path)["all"]["gold"].to_pylist() == [["x"], ["y", "z"]]


def test_squad_v2_has_questions_without_answer_and_squad_has_none(tmp_path: Path) -> None:
    write(tmp_path / "squad_v2" / VALIDATION, squad(answers=(["x"], [])))
    assert read_task("squad_v2", tmp_path)["all"]["gold"].to_pylist() == [["x"], []]
    assert task_of("squad_v2").rules == "squad-2.0"
    with pytest.raises(
        InputError, match=r"--data: column 'answers.text' of .*: row 1 .* has no answer, expected one or"
    ):
        read_task("squad", tmp_path / "squad_v2")


@pytest.mark.parametrize("folder", ["mlqa.{0}.{0}", "MLQA.{0}.{0}", "{0}"])
def test_mlqa_reads_questions_in_the_language_of_the_paragraph(tmp_path: Path, folder: str) -> None:
    for language in ("de", "zh"):
        write(tmp_path / folder.format(language) / SHARD.format("test"), squad())
    write(tmp_path / "mlqa.de.en" / SHARD.format("test"), squad())
    write(tmp_path / "mlqa-translate-test.de" / SHARD.format("test"), squad())
    assert list(read_task("mlqa", tmp_path)) == ["de", "zh"]
    with pytest.raises(InputError, match=r"--languages: found 'fr', which mlqa does not have; expected .*; leave"):
        read_task("mlqa", tmp_path, wanted=["fr"])


def test_published_figures_of_mlqa_are_those_that_are_clear() -> None:
    published = task_of("mlqa").published
    assert {(figures.system, figures.metric): figures.values["mean"] for figures in published} == {
        ("XLM-R XL", "f1"): 73.4,
        ("XLM-R XL", "exact_match"): 55.3,
        ("XLM-R XXL", "f1"): 74.8,
        ("XLM-R XXL", "exact_match"): 56.6,
    }
    assert all(set(figures.values) == {"mean", "en", "hi", "vi", "zh"} for figures in published)
    assert set(mlqa.LANGUAGES) == {"en", "es", "de", "ar", "hi", "vi", "zh"}
    assert len(tydiqa.LANGUAGES) == 9


def test_answers_of_another_type_are_refused(tmp_path: Path) -> None:
    table = squad().drop_columns("answers").append_column("answers", pa.array(["x", "y"]))
    write(tmp_path / "xquad.de" / VALIDATION, table)
    with pytest.raises(
        InputError, match=r"--data: .*: column 'answers.text' is missing; .*'answers' has type string; e"
    ):
        read_task("xquad", tmp_path)


def test_shared_xquad() -> None:
    tables = read_task("xquad", shared_data("xquad"))
    assert set(tables) == set(xquad.LANGUAGES)
    assert {table.num_rows for table in tables.values()} == {1190}
    assert tables["en"]["gold"].to_pylist()[0] == ["308"]
    assert all(len(gold) >= 1 for gold in tables["th"]["gold"].to_pylist())
