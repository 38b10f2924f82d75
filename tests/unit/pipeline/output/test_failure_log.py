import json
from pathlib import Path

import pytest
from pyarrow import fs

from pipeline.failures import FragmentFailure
from pipeline.output.failure_log import FailureLog
from pipeline.output.output_folder import FAILED, OutputFolder
from tests.unit.pipeline.stages.test_write import FRAGMENT

FAILURE = FragmentFailure.of(FRAGMENT, "read", "a page is damaged")


def log(root: Path) -> FailureLog:
    return FailureLog(OutputFolder(fs.LocalFileSystem(), str(root)))


def test_records_are_kept_replaced_and_forgotten(tmp_path: Path) -> None:
    assert log(tmp_path).failures() == {}
    log(tmp_path).record(FAILURE)
    again = FragmentFailure.of(FRAGMENT, "write", "the disk is full")
    log(tmp_path).record(again)
    path = tmp_path / FAILED / f"{FRAGMENT.part_path}.json"
    assert json.loads(path.read_text())["reason"] == "the disk is full"
    assert log(tmp_path).failures() == {FRAGMENT.part_path: again}
    for _ in range(2):
        log(tmp_path).forget(FRAGMENT.part_path)
        assert log(tmp_path).failures() == {}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"part_path": 1}', "\0"])
def test_a_damaged_record_counts_for_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / FAILED / "x.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert log(tmp_path).failures() == {}


@pytest.mark.parametrize("part_path", ["../../../victim", "/tmp/victim", "other.parquet"])
def test_a_record_speaks_for_its_own_part_alone(part_path: str, tmp_path: Path) -> None:
    log(tmp_path / "out").record(FAILURE)
    [path] = (tmp_path / "out" / FAILED).rglob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"part_path": part_path}))
    assert log(tmp_path / "out").failures() == {}
