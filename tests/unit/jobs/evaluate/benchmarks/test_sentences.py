"""XCOPA, PAWS-X and SIB-200."""

from pathlib import Path
from typing import Any

import pytest

from jobs.evaluate.benchmarks import sib200, xcopa
from pipeline.errors import InputError
from tests.shared_data import shared_data
from tests.unit.jobs.evaluate.benchmarks.reading import read_task, task_of
from tests.unit.jobs.evaluate.hub_files import SHARD, class_label, write

TEST = SHARD.format("test")


def copa(**changed: Any) -> dict[str, Any]:
    columns = {
        "premise": ["It rained.", "It fell.", None],
        "choice1": ["a", "b", "c"],
        "choice2": ["d", "e", "f"],
        "question": ["cause", "effect", "cause"],
        "label": [1, 0, -1],
        "idx": [0, 1, 2],
    }
    return columns | changed


def test_xcopa(tmp_path: Path) -> None:
    for folder in ("et", "en", "translation-et"):
        write(tmp_path / folder / TEST, copa())
    tables = read_task("xcopa", tmp_path)
    assert list(tables) == ["et", "en"]
    assert tables["et"].to_pylist() == [
        {"row": 0, "prompt": "It rained. What was the cause?", "choices": ["a", "d"], "gold": 1},
        {"row": 1, "prompt": "It fell. What happened as a result?", "choices": ["b", "e"], "gold": 0},
        {"row": 2, "prompt": None, "choices": ["c", "f"], "gold": None},
    ]


def test_means_of_xcopa() -> None:
    first, second = task_of("xcopa").averages
    assert set(xcopa.LANGUAGES) - first.excluded == set(xcopa.LANGUAGES) - {"en"}
    assert len(xcopa.LANGUAGES) == 12
    assert not second.excluded


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": [1, 0, 2]}, "column 'label' of et/.*: row 2 .from 0. names no choice, expected its number"),
        (
            {"question": ["cause", "why", "cause"]},
            "column 'question' of et/.*: row 1 .* expected one of cause, effect",
        ),
        ({"question": [0, 1, 0]}, "column 'question' of et/.*: found class ids without names, expected names"),
        ({"label": ["1", "0", "0"]}, "column 'label' has type string, expected an integer type; name"),
    ],
)
def test_wrong_columns_of_xcopa_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    write(tmp_path / "et" / TEST, copa(**changed))
    with pytest.raises(InputError, match=f"--data: .*{message}"):
        read_task("xcopa", tmp_path)


def test_shared_xcopa() -> None:
    folder = shared_data("xcopa")
    for split, num_rows in (("test", 500), ("validation", 100)):
        tables = read_task("xcopa", folder, split)
        assert set(tables) == set(xcopa.LANGUAGES)
        assert {table.num_rows for table in tables.values()} == {num_rows}
        for table in tables.values():
            assert table["gold"].null_count == table["prompt"].null_count == 0
            assert all(prompt.endswith(tuple(xcopa.QUESTIONS.values())) for prompt in table["prompt"].to_pylist())


@pytest.mark.parametrize(
    ("labels", "features"),
    [
        ([0, 1], None),
        ([0, 1], {"label": class_label("0", "1")}),
        ([0, 1], {"label": class_label("different", "same")}),
        (["0", "1"], None),
    ],
)
def test_pawsx(tmp_path: Path, labels: list[Any], features: dict[str, Any] | None) -> None:
    columns = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": labels}
    write(tmp_path / "ko" / TEST, columns, features)
    write(tmp_path / "PAWS-X.de" / TEST, columns, features)
    tables = read_task("pawsx", tmp_path)
    assert list(tables) == ["de", "ko"]
    assert tables["ko"]["gold"].to_pylist() == ["0", "1"]


def topics(**columns: Any) -> dict[str, Any]:
    return {"index_id": [7, 9], "text": ["a", "b"], **columns}


@pytest.mark.parametrize(
    ("columns", "features"),
    [
        ({"category": ["geography", "science/technology"]}, None),
        ({"label": ["Geography", "science/technology"]}, None),
        ({"category": [1, 0]}, {"category": class_label("science/technology", "geography")}),
    ],
)
def test_sib200_in_folders(tmp_path: Path, columns: dict[str, Any], features: dict[str, Any] | None) -> None:
    for language in ("nqo_Nkoo", "deu_Latn"):
        write(tmp_path / language / TEST, topics(**columns), features)
    tables = read_task("sib200", tmp_path)
    assert list(tables) == ["deu_Latn", "nqo_Nkoo"]
    assert tables["nqo_Nkoo"]["gold"].to_pylist() == ["geography", "science/technology"]
    with pytest.raises(
        InputError, match=r"--languages: found 'de', which sib200 does not have; expected .*deu_Latn"
    ):
        read_task("sib200", tmp_path, wanted=["de"])
    with pytest.raises(InputError, match=r"--languages: found 'fra_Latn', of which .* has no split 'test'"):
        read_task("sib200", tmp_path, wanted=["fra_Latn"])


def test_sib200_with_a_column_for_the_language(tmp_path: Path) -> None:
    columns = topics(category=["travel", "health"], lang=["fra_Latn", "deu_Latn"])
    write(tmp_path / TEST, columns)
    tables = read_task("sib200", tmp_path)
    assert {language: table["row"].to_pylist() for language, table in tables.items()} == {
        "deu_Latn": [1],
        "fra_Latn": [0],
    }
    assert list(read_task("sib200", tmp_path, wanted=["fra_Latn"])) == ["fra_Latn"]


def test_class_ids_of_sib200_without_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "deu_Latn" / TEST, topics(label=[0, 1]))
    with pytest.raises(InputError, match=r"found class ids without names, expected names, .*travel, politics"):
        read_task("sib200", tmp_path)
    assert len(sib200.LABELS) == 7
