"""Overhead of Ray Data alone: read, map twice, write nothing: `python -m jobs.benchmark.bare_chain FILE ROWS`."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
from ray.data import ActorPoolStrategy, DataContext
from ray.data.block import Block, BlockAccessor
from ray.data.datasource import Datasink

from pipeline.config.job import JobConfig
from pipeline.driver.ray_connection import connect
from pipeline.input.planning import plan_fragments
from pipeline.stages.read import read_fragments

if TYPE_CHECKING:
    from ray.data._internal.execution.interfaces import TaskContext


class NullSink(Datasink[None]):
    """Fetches the blocks and discards them."""

    def write(self, blocks: Iterable[Block], ctx: "TaskContext") -> None:
        """Count the rows of each block, so that it is fetched."""
        for block in blocks:
            BlockAccessor.for_block(block).num_rows()


class Same:
    """An actor that returns its input."""

    def __call__(self, table: pa.Table) -> pa.Table:
        return table


def same(table: pa.Table) -> pa.Table:
    """A task that returns its input."""
    return table


def main(file: str, num_rows: int) -> None:
    """Pass a file through the chain in fragments of `num_rows` rows."""
    job = JobConfig.model_validate(
        {
            "model": {"path": "none"},
            "input": {"path": file, "max_fragment_rows": num_rows, "columns": []},
            "output": {"path": "none"},
            "heads": {"vector": {"task": "embedding"}},
        }
    )
    plan = plan_fragments(job)
    connect("local")
    DataContext.get_current().enable_progress_bars = False
    read = read_fragments(plan.fragments, plan.read_schema, plan.filesystem)
    mapped = read.map_batches(same, batch_size=None, batch_format="pyarrow")
    pool = ActorPoolStrategy(size=1)
    passed = mapped.map_batches(Same, batch_size=None, batch_format="pyarrow", compute=pool, num_cpus=0)
    passed.write_datasink(NullSink())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
