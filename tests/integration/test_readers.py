"""Who reads the folder while a job writes to it never finds half a file, a record, or two versions of one file."""

import json
import multiprocessing
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs.annotate.exit_report import how_to_read
from tests.integration.night import OTHER_RUN, Night
from tests.integration.output_runs import Options
from tests.integration.processes import environment

COLUMNS = ["id", "text", "num_tokens", "half"]
SHIFT = 1000
# A part that was listed and is replaced by now is missed, not mistaken for another; for a moment there is none.
GONE = (
    "No such file",
    "No files found",
    "expanded paths were empty",
    "Must pass at least one table",
    "No match for FieldRef.Name(id) in ",
)


def by_arrow(output: Path) -> pa.Table:
    return ds.dataset(output, format="parquet").to_table(columns=COLUMNS)


def by_listing(output: Path) -> pa.Table:
    """As Spark takes a folder: whatever it does not pass over must be data."""
    paths = (path for path in output.rglob("*") if path.is_file())
    shown = [path for path in paths if not any(map(is_hidden_to_spark, path.relative_to(output).parts))]
    return pa.concat_tables([pq.ParquetFile(path).read(COLUMNS) for path in shown])


def is_hidden_to_spark(name: str) -> bool:
    """The rule of its InMemoryFileIndex: it reads partitions whose key begins with _, and Parquet's summaries."""
    if name.startswith(("_metadata", "_common_metadata")):
        return False
    is_key = name.startswith("_") and "=" in name
    return (name.startswith((".", "_")) and not is_key) or name.endswith("._COPYING_")


def by_duckdb(output: Path) -> pa.Table:
    found: pa.Table = duckdb.sql(f"select {', '.join(COLUMNS)} from '{output}/**/*.parquet'").to_arrow_table()
    return found


def by_polars(output: Path) -> pa.Table:
    return pl.scan_parquet(f"{output}/**/*.parquet").select(COLUMNS).collect().to_arrow()


READERS: dict[str, Callable[[Path], pa.Table]] = {
    "Arrow": by_arrow,
    "listing": by_listing,
    "DuckDB": by_duckdb,
    "Polars": by_polars,
}


FOLDER_READERS: dict[str, Callable[[str], pa.Table]] = {
    "pyarrow.parquet": pq.read_table,
    "pyarrow.dataset": lambda output: ds.dataset(output, partitioning="hive").to_table(),
    "pandas": lambda output: pa.Table.from_pandas(pd.read_parquet(output)),
    "DuckDB": lambda output: duckdb.sql(f"select * from read_parquet('{output}')").to_arrow_table(),
    "Spark": lambda output: by_listing(Path(output)),
}
"""Those that take the folder as it is; Ray Data has a test of its own."""


def read_on(reader: str, output: Path, stop: Event, connection: Any) -> None:
    """Read again and again; say what the reads were like, and the first problem."""
    num_reads = 0
    problem = ""
    while not stop.is_set() and not problem:
        try:
            problem = problem_of(READERS[reader](output))
            num_reads += 1
            if num_reads == 1:
                connection.send("reading")
        except Exception as error:
            if not any(text in str(error) for text in GONE):
                problem = f"{type(error).__name__}: {error}"
    connection.send((num_reads, problem))


def problem_of(table: pa.Table) -> str:
    """What is wrong with the rows: each once, of one version of its file, and of one run."""
    ids = table["id"].to_pylist()
    if len(set(ids)) != len(ids):
        return "a row is there twice"
    versions = {i // SHIFT for i in ids if i % SHIFT >= 100}
    if len(versions) > 1:
        return f"rows of versions {versions} of a file"
    tokens, halves = table["num_tokens"].to_pylist(), table["half"].to_pylist()
    factors = {half / tokens for half, tokens in zip(halves, tokens, strict=True)}
    return f"rows of {len(factors)} runs" if len(factors) > 1 else ""


@pytest.mark.parametrize("reader", list(READERS))
def test_readers_find_whole_parts_of_one_version_and_one_run(tmp_path: Path, reader: str) -> None:
    night = Night(tmp_path)
    for name in ("x/b", "x/lang=de/c"):
        (night.inputs / f"{name}.parquet").unlink()
    night.write("a", 60, first=100)
    night.write("steady", 20)
    assert night.run(Options(max_fragment_rows=4))
    spawning = multiprocessing.get_context("spawn")
    stop = spawning.Event()
    here, there = spawning.Pipe()
    process = spawning.Process(target=read_on, args=(reader, night.output, stop, there))
    process.start()
    assert here.recv() == "reading"
    for version in range(1, 4):
        night.write("a", 50 + version, first=version * SHIFT + 100)
        assert night.run(Options(max_fragment_rows=4))
    for options in (OTHER_RUN, Options(is_restart=True)):
        assert night.run(Options(options.identity, 4, is_restart=True))
    stop.set()
    num_reads, problem = here.recv()
    process.join()
    assert problem == ""
    assert num_reads > 10


@pytest.fixture
def unfinished(night: Night) -> Night:
    """A finished output with the folder of a partition, and new parts of a changed file that wait for the rest."""
    for name in ("x/b", "x/lang=de/c"):
        (night.inputs / f"{name}.parquet").unlink()
    night.write("x/year=2024/d", 7, first=SHIFT)
    shutil.rmtree(night.output)
    assert night.run(Options(max_fragment_rows=4))
    night.write("a", 30, first=2 * SHIFT)
    with pytest.raises(ZeroDivisionError):
        night.run(Options(max_fragment_rows=4), on_part=lambda: 1 // 0)
    assert list((night.output / "_staged").rglob("*.staged"))
    return night


IDS = [*range(25), *range(SHIFT, SHIFT + 7)]


@pytest.mark.parametrize("reader", list(FOLDER_READERS))
def test_readers_take_the_folder_as_it_is(unfinished: Night, reader: str) -> None:
    found = FOLDER_READERS[reader](str(unfinished.output))
    assert sorted(found["id"].to_pylist()) == IDS


def test_polars_reads_what_the_last_line_of_a_run_says(unfinished: Night) -> None:
    """Also where the path holds what means something in a glob."""
    output = unfinished.output.rename(unfinished.output.with_name("v[1]*?"))
    for line in (how_to_read(str(output)), how_to_read(f"{output}/")):
        call = re.search(r'pl\.read_parquet\((".*")\)', line)
        assert call is not None
        assert sorted(pl.read_parquet(json.loads(call[1]))["id"].to_list()) == IDS


@pytest.mark.slow
def test_ray_data_finds_the_parts_alone(tmp_path: Path) -> None:
    """Also while the new parts of a changed file wait for the rest of them."""
    night = Night(tmp_path)
    (night.inputs / "x/lang=de/c.parquet").unlink()
    assert night.run(Options(max_fragment_rows=4))
    expected = sorted(by_listing(night.output)["id"].to_pylist())
    night.write("a", 30, first=SHIFT)
    with pytest.raises(ZeroDivisionError):
        night.run(Options(max_fragment_rows=4), on_part=lambda: 1 // 0)
    assert list((night.output / "_staged").rglob("*.staged"))
    code = (
        f"import ray; print(sorted(row['id'] for row in ray.data.read_parquet({str(night.output)!r}).take_all()))"
    )
    read = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, timeout=200
    )
    assert read.stdout.splitlines()[-1] == str(expected)
