"""Judged translations: which columns are read, and what is refused."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.evaluate.benchmarks.mt_quality import JudgedColumns, mt_quality_task
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.examples import SCHEMAS, BenchmarkTask
from jobs.evaluate.scoring.translations import OF_ROWS, OF_SEGMENTS, OF_SYSTEMS
from pipeline.errors import ConfigError, InputError
from tests.unit.jobs.evaluate.hub_files import write

ROWS: dict[str, Any] = {
    "source": ["a", "a", "b", "b"],
    "translation": ["u", "v", "w", None],
    "ref": ["r", "r", "s", "s"],
    "da": [80, 60, None, 90],
    "lp": ["en-de", "en-de", "en-zh", "en-zh"],
    "sys": ["x", "y", "x", "y"],
    "seg": [7, 7, 8, 8],
}


def read_judged(
    folder: Path, wanted: list[str] | None = None, rows: dict[str, Any] = ROWS, **columns: Any
) -> tuple[BenchmarkTask, dict[str, pa.Table]]:
    write(folder / "test.parquet", rows)
    files = DataFiles.open(str(folder))
    task = mt_quality_task(files, JudgedColumns(**{"gold": "da", **columns}), "test")
    return task, task.read(files, "test", wanted)


def test_source_and_translation_are_found_by_their_names(tmp_path: Path) -> None:
    task, tables = read_judged(tmp_path)
    assert task.metrics == OF_ROWS
    assert list(tables) == ["all"]
    table = tables["all"]
    assert table.schema == SCHEMAS["translation-quality"]
    assert table["source"].to_pylist() == ROWS["source"]
    assert table["translation"].to_pylist() == ROWS["translation"]
    assert table["gold"].to_pylist() == [80.0, 60.0, None, 90.0]
    for name in ("reference", "system", "segment"):
        assert table[name].null_count == 4


def test_named_columns(tmp_path: Path) -> None:
    rows = {**ROWS, "da": [80.0, 60.0, 10.0, 20.0], "mt": list("klmn")}
    task, tables = read_judged(
        tmp_path,
        rows=rows,
        columns={"translation": "mt", "reference": "ref"},
        language_pair="lp",
        system="sys",
        segment="seg",
    )
    assert task.metrics == (*OF_ROWS, *OF_SEGMENTS, *OF_SYSTEMS)
    assert list(tables) == ["en-de", "en-zh"]
    assert tables["en-zh"].to_pylist() == [
        {
            "row": 2,
            "source": "b",
            "translation": "m",
            "reference": "s",
            "gold": 10.0,
            "system": "x",
            "segment": "8",
        },
        {
            "row": 3,
            "source": "b",
            "translation": "n",
            "reference": "s",
            "gold": 20.0,
            "system": "y",
            "segment": "8",
        },
    ]


def test_language_pairs_are_chosen_by_languages(tmp_path: Path) -> None:
    assert list(read_judged(tmp_path, ["en-zh"], language_pair="lp")[1]) == ["en-zh"]


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        ({"gold": "nothing"}, {}, "--gold: .*nothing.*; expected a floating-point or integer type"),
        ({"gold": "ref"}, {}, "--gold: .*'ref' has type string, expected a floating-point or integer type"),
        ({"columns": {"source": "src"}}, {}, "--columns: .*src.*"),
        ({"columns": {"text": "ref"}}, {}, "--columns: found a column for text, expected columns for source"),
        ({"system": "sys"}, {"sys": [None, "x", "y", "x"]}, "--system: column 'sys' .* is null"),
        ({"system": "sys"}, {"sys": ["x"] * 4}, "--system: .*found one system in the judged rows, expected two"),
        ({"system": "sys", "language_pair": "lp"}, {}, "found one system in the judged rows of en-zh"),
        ({"segment": "seg"}, {"seg": [1, 2, 3, 4]}, "--segment: .*found one translation of each segment"),
        ({"segment": "seg", "language_pair": "lp"}, {}, "found one translation of each segment .* of en-zh"),
    ],
)
def test_what_is_refused(tmp_path: Path, columns: dict[str, Any], rows: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, InputError), match=message):
        read_judged(tmp_path, rows={**ROWS, **rows}, **columns)
