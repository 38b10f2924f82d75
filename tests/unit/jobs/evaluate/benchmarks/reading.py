"""Read a task's examples from a folder, for tests."""

from pathlib import Path

import pyarrow as pa

from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import choose_split
from jobs.evaluate.examples import SCHEMAS, BenchmarkTask


def task_of(name: str) -> BenchmarkTask:
    """A task by its name on the command line, such as "xnli" or "glue/rte"."""
    benchmark, _, task = name.partition("/")
    return next(one for one in BENCHMARKS[benchmark].tasks if one.name == (task or benchmark))


def read_task(
    name: str, folder: Path, split: str | None = None, wanted: list[str] | None = None
) -> dict[str, pa.Table]:
    """The examples by subset, whose columns must be those of their kind."""
    task, files = task_of(name), DataFiles.open(str(folder))
    tables = task.read(files, choose_split(task, files, split), wanted)
    for table in tables.values():
        assert table.schema == SCHEMAS[task.kind]
    return tables
