"""A job of 10,000 pairs, some of them bad, that is killed half-way: run again, it ends as an undisturbed one."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.comet_checkpoints import METRICS, write_converted
from tests.integration.corpus import write_job
from tests.integration.runs import annotate, parts, started
from tests.tiny_tokenizer import SENTENCES

NUM_ROWS, FRAGMENT_ROWS = 10_000, 250
ERRORS = {
    7: "column 'source' is null, expected text",
    11: "column 'translation' is blank, expected text",
    13: "column 'reference' is null, expected text",
}
"""By the row's number modulo 100."""


def write_pairs(path: Path) -> None:
    rows = range(NUM_ROWS)
    columns = {
        name: [f"{SENTENCES[(i * step) % len(SENTENCES)]} {i}" for i in rows]
        for name, step in (("translation", 1), ("source", 3), ("reference", 5))
    }
    texts: dict[str, list[str | None]] = {name: [*values] for name, values in columns.items()}
    for row in rows:
        match row % 100:
            case 7:
                texts["source"][row] = None
            case 11:
                texts["translation"][row] = " \n"
            case 13:
                texts["reference"][row] = None
    pq.write_table(pa.table({"id": list(rows), **texts}), path, row_group_size=2_000)


def job_file(root: Path, output: Path) -> Path:
    job = {
        "model": {"path": str(root / "converted"), "device": "cpu", "dtype": "float32", "cpus_per_rank": 1},
        "input": {"path": str(root / "pairs.parquet"), "columns": ["id"], "max_fragment_rows": FRAGMENT_ROWS},
        "output": {"path": str(output)},
        "heads": {"quality": {"task": "translation-quality", "reference": "reference"}},
    }
    return write_job(output.with_suffix(".toml"), job)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_job_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    write_converted(tmp_path, METRICS["xcomet"])
    write_pairs(tmp_path / "pairs.parquet")
    whole = annotate(job_file(tmp_path, tmp_path / "expected"), logs=tmp_path / "whole")
    assert whole.code == 0, whole
    expected = parts(tmp_path / "expected")
    assert len(expected) == NUM_ROWS // FRAGMENT_ROWS

    file = job_file(tmp_path, tmp_path / "out")
    with started(file, logs=tmp_path / "killed") as run:
        while run.process.poll() is None and len(list((tmp_path / "out").rglob("*.parquet"))) < len(expected) // 2:
            run.look()
            time.sleep(0.05)
        assert run.process.poll() is None
        run.process.kill()
    assert 0 < len(parts(tmp_path / "out")) < len(expected)
    again = annotate(file, logs=tmp_path / "again")
    assert again.code == 0, again
    assert parts(tmp_path / "out") == expected

    rows = pa.concat_tables([pq.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))])
    assert rows.column("id").to_pylist() == list(range(NUM_ROWS))
    assert rows.column("error").to_pylist() == [ERRORS.get(i % 100) for i in range(NUM_ROWS)]
    quality = rows.column("quality").to_pylist()
    assert [value is None for value in quality] == [i % 100 in ERRORS for i in range(NUM_ROWS)]
    assert len({value["score"] for value in quality if value is not None}) > NUM_ROWS // 2
