import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from pipeline.errors import FragmentError
from pipeline.failures import FailureLog, FragmentFailure, failure_block, failure_in, reason_of
from pipeline.output.output_folder import FAILED
from pipeline.stages.blocks import whole_fragment, with_keys
from tests.unit.pipeline.input_files import rows
from tests.unit.pipeline.stages.test_write import FRAGMENT

FAILURE = FragmentFailure.of(FRAGMENT, "read", "a page is damaged")


def log(root: Path) -> FailureLog:
    return FailureLog(fs.LocalFileSystem(), str(root))


def test_a_block_says_which_fragment_failed_and_why() -> None:
    assert failure_in(failure_block(FAILURE, FRAGMENT)) == FAILURE
    table = with_keys(rows(FRAGMENT.num_rows), FRAGMENT)
    assert failure_in(table) is None
    assert whole_fragment(table) == FRAGMENT


def test_a_failure_reads_like_a_sentence_with_the_rows_of_the_file() -> None:
    assert str(FAILURE) == "x/a.parquet: rows 0 to 3 (read): a page is damaged"


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


def test_reasons_hold_messages_of_ours_in_one_line_and_no_others() -> None:
    assert reason_of(FragmentError("a.parquet:\n  gone")) == "a.parquet: gone"
    with pytest.raises(pa.ArrowInvalid, match="secret") as caught:
        pa.array(["secret"]).cast(pa.int64())
    assert reason_of(caught.value).startswith("ArrowInvalid in ")
    assert "secret" not in reason_of(caught.value)
    assert reason_of(KeyError("secret")) == "KeyError"
