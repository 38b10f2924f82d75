"""UD-POS and WikiANN."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.evaluate.benchmarks import udpos, wikiann
from jobs.evaluate.examples import BenchmarkTask
from pipeline.errors import InputError
from tests.shared_data import shared_data
from tests.unit.jobs.evaluate.benchmarks.reading import read_task, task_of
from tests.unit.jobs.evaluate.hub_files import SHARD, class_label, write

TEST = SHARD.format("test")


def tagged(column: str, tags: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {"tokens": [[f"w{at}" for at in range(len(row))] for row in tags], column: tags}


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ([["NOUN", "X"], ["VERB"]], None),
        ([[7, 16], [15]], None),
        ([[0, 2], [1]], ("NOUN", "VERB", "X")),
    ],
)
def test_udpos(tmp_path: Path, tags: list[list[Any]], names: tuple[str, ...] | None) -> None:
    features = {"pos_tags": {"feature": class_label(*names), "_type": "Sequence"}} if names else None
    for folder in ("udpos.German", "ta", "udpos.en"):
        write(tmp_path / folder / TEST, tagged("pos_tags", tags), features)
    tables = read_task("udpos", tmp_path)
    assert list(tables) == ["de", "en", "ta"]
    assert tables["de"].to_pylist() == [
        {"row": 0, "words": ["w0", "w1"], "gold": ["NOUN", "X"]},
        {"row": 1, "words": ["w0"], "gold": ["VERB"]},
    ]


@pytest.mark.parametrize("tags", [[["O", "B-PER", "I-LOC"]], [[0, 1, 6]]])
def test_wikiann(tmp_path: Path, tags: list[list[Any]]) -> None:
    write(tmp_path / "PAN-X.de" / TEST, tagged("ner_tags", tags))
    write(tmp_path / "sw" / "test" / "0000.parquet", tagged("ner_tags", tags))
    tables = read_task("wikiann", tmp_path)
    assert list(tables) == ["de", "sw"]
    assert tables["de"]["gold"].to_pylist() == [["O", "B-PER", "I-LOC"]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (tagged("ner_tags", [["O", "B-MISC"]]), "row 0 .from 0. has a label that is none of those known"),
        (tagged("pos_tags", [["NOUN"]]), "column 'ner_tags' is missing"),
        (
            {"tokens": [["a", "b"]], "ner_tags": [["O"]]},
            "row 0 .from 0. has another number of labels than of words",
        ),
        ({"tokens": ["a b"], "ner_tags": [["O"]]}, "column 'tokens' has type string, expected list<string>"),
    ],
)
def test_wrong_columns_are_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    write(tmp_path / "de" / TEST, columns)
    with pytest.raises(InputError, match=f"--data: .*{message}.*; name"):
        read_task("wikiann", tmp_path)


def num_averaged(task: BenchmarkTask) -> dict[str, int]:
    return {average.name: len(set(task.subsets) - average.excluded) for average in task.averages}


def test_numbers_of_languages() -> None:
    assert num_averaged(task_of("udpos")) == {"mean": 38, "mean of XTREME's 33": 33}
    assert num_averaged(task_of("wikiann")) == {"mean": 48, "mean of XTREME's 40": 40}


def test_shared_files() -> None:
    sentences = read_task("udpos", shared_data("udpos"))
    assert len(sentences) == 15
    assert sentences["ar"].num_rows == 909
    assert sentences["de"].num_rows == 2000
    for table in sentences.values():
        assert {label for row in table["gold"].to_pylist() for label in row} <= set(udpos.LABELS)
    entities = read_task("wikiann", shared_data("wikiann"))
    assert len(entities) == 17
    assert (entities["de"].num_rows, entities["bn"].num_rows) == (2000, 1000)
    for table in entities.values():
        assert {label for row in table["gold"].to_pylist() for label in row} == set(wikiann.LABELS)
