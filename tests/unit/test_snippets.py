"""Python and SQL on the project's pages run on an output written by hand, and find what they say."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.annotated_by_hand import BAD_ROW, NUM_DIMENSIONS, NUM_ROWS, write_input_and_output
from tests.unit.pages import NEEDS_MORE, PAGES, ROOT, blocks, shown


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with an input and its output."""
    write_input_and_output(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=shown)
@pytest.mark.usefixtures("output")
def test_python_runs(page: Path) -> None:
    for text in blocks(page, "python"):
        code = text.replace('"models/xlm-roberta-xl"', json.dumps(str(ROOT / "jobs/demo/model")))
        names: dict[str, Any] = {}
        compiled = compile(code, str(page), "exec")
        if not text.startswith(NEEDS_MORE):
            exec(compiled, names)
        tables = [value for value in names.values() if isinstance(value, pa.Table | pl.DataFrame | pd.DataFrame)]
        assert all(len(table) for table in tables), text


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sql")], ids=shown)
@pytest.mark.usefixtures("output")
def test_sql_finds_rows(page: Path) -> None:
    for text in blocks(page, "sql"):
        with duckdb.connect() as connection:
            for statement in text.split(";"):
                assert not statement.strip() or connection.execute(statement).fetchall(), statement


def test_folders_of_partitions_are_columns(tmp_path: Path) -> None:
    output = tmp_path / "annotated/year=2026"
    output.mkdir(parents=True)
    pl.DataFrame({"id": [1, 2]}).write_parquet(output / "a.5f2c9a1e.00000-of-00001.parquet")
    parts = f"{tmp_path}/annotated/**/*.parquet"
    assert duckdb.sql(f"select year from '{parts}'").fetchall() == [(2026,), (2026,)]
    assert pl.scan_parquet(parts, hive_partitioning=True).collect()["year"].to_list() == [2026, 2026]
    assert pd.read_parquet(tmp_path / "annotated")["year"].astype(int).tolist() == [2026, 2026]
    dataset = ds.dataset(tmp_path / "annotated", format="parquet", partitioning="hive")
    assert dataset.to_table()["year"].to_pylist() == [2026, 2026]


@pytest.mark.usefixtures("output")
def test_snippets_find_the_nearest_rows_and_those_below_the_threshold() -> None:
    sql = blocks(ROOT / "pipeline/OUTPUT.md", "sql")
    [nearest] = [text for text in sql if "array_cosine_similarity" in text]
    assert {row[0] for row in duckdb.sql(nearest).fetchall()} == {0, 1, 2, 4, 6}
    [thresholds] = [text for text in sql if "AS threshold" in text]
    kept = duckdb.sql(thresholds.split(";")[1]).fetchall()
    assert sorted(row[0] for row in kept) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    [pairs] = blocks(ROOT / "jobs/configs/README.md", "sql")
    # Of each language the worst fifth by the worse direction is left out.
    assert sorted(row[0] for row in duckdb.sql(pairs).fetchall()) == [0, 2, 3, 4, 6, 7, 9, 10, 11]
    [joined] = [text for text in sql if "POSITIONAL" in text]
    assert duckdb.sql(joined).fetchall()[5] == (None, None)
    [arrays] = [text for text in blocks(ROOT / "pipeline/OUTPUT.md", "python") if "argsort" in text]
    names: dict[str, Any] = {}
    exec(arrays, names)
    assert names["nearest"].to_pylist() == [1, 2, 3, 4, 6]
    [frames] = [text for text in blocks(ROOT / "pipeline/OUTPUT.md", "python") if "import polars" in text]
    exec(frames, names)
    assert names["matrix"].shape == (NUM_ROWS - 1, NUM_DIMENSIONS)
    assert names["entities"]["id"].to_list() == [1, 3, 7, 9, 11]
    [structs] = [text for text in blocks(ROOT / "pipeline/OUTPUT.md", "python") if "json_normalize" in text]
    exec(structs, names)
    topics = names["topics"]
    assert topics["id"].tolist() == [i for i in range(NUM_ROWS) if i != BAD_ROW]
    assert topics["label"].tolist() == [topic["label"] for topic in topics["topic"]]


@pytest.mark.usefixtures("output")
def test_copies_have_the_rows_that_are_kept_in_their_folders() -> None:
    page = ROOT / "pipeline/OUTPUT.md"
    [copied] = [text for text in blocks(page, "sql") if "COPY" in text]
    with duckdb.connect() as connection:
        connection.execute(copied)
    # All but the row with an error and the last one of each language.
    expected = [i for i in range(NUM_ROWS - 2) if i != BAD_ROW]
    kept = duckdb.sql("SELECT id, lang, text FROM 'kept/**/*.parquet' ORDER BY id").fetchall()
    assert kept == [(i, ["en", "de"][i % 2], f"Text {i} of Rome") for i in expected]
    assert {path.name for path in Path("kept").iterdir()} == {"lang=en", "lang=de"}
    [by_part] = [text for text in blocks(page, "python") if "kept_parts" in text]
    exec(by_part, {})
    parts = {path.relative_to("annotated"): pq.read_schema(path) for path in Path("annotated").rglob("*.parquet")}
    copies = {path.relative_to("kept_parts"): path for path in Path("kept_parts").rglob("*.parquet")}
    assert copies.keys() == parts.keys()
    assert all(pq.read_schema(path).names == parts[part].names for part, path in copies.items())
    ids = [value for path in copies.values() for value in pq.read_table(path)["id"].to_pylist()]
    assert sorted(ids) == expected
