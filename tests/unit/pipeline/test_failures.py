import pyarrow as pa
import pytest

from pipeline.errors import FragmentError
from pipeline.failures import FragmentFailure, reason_of
from tests.unit.pipeline.stages.test_write import FRAGMENT

FAILURE = FragmentFailure.of(FRAGMENT, "read", "a page is damaged")


def test_a_failure_reads_like_a_sentence_with_the_rows_of_the_file() -> None:
    assert str(FAILURE) == "x/a.parquet: rows 0 to 3 (read): a page is damaged"


def test_reasons_hold_messages_of_ours_in_one_line_and_no_others() -> None:
    assert reason_of(FragmentError("a.parquet:\n  gone")) == "a.parquet: gone"
    with pytest.raises(pa.ArrowInvalid, match="secret") as caught:
        pa.array(["secret"]).cast(pa.int64())
    assert reason_of(caught.value).startswith("ArrowInvalid in ")
    assert "secret" not in reason_of(caught.value)
    assert reason_of(KeyError("secret")) == "KeyError"
