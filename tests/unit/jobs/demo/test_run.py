"""What the demo shows where its job has been changed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.demo.run import run_demo
from jobs.demo.show import COLUMNS


@pytest.mark.parametrize(
    ("columns", "lacking"),
    [
        ({}, "id, lang, text, num_tokens, error, language, tags, loss, vector"),
        ({name: ["x"] for name in COLUMNS if name not in ("tags", "loss")}, "tags, loss"),
    ],
)
def test_a_changed_job_is_no_traceback(
    columns: dict[str, list[str]],
    lacking: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "annotated").mkdir()
    if columns:
        pq.write_table(pa.table(columns), tmp_path / "annotated" / "a.parquet")
    monkeypatch.setattr("jobs.demo.run.annotate", lambda arguments: 0)
    assert run_demo(tmp_path) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "job.toml has been changed: " in out
    assert out.endswith(f"/annotated has no {lacking} to show")
