"""The sink of the Ray dataset: a block is proved to be one whole fragment and becomes its part."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs
from ray.data.block import Block, BlockAccessor
from ray.data.datasource import Datasink

from pipeline.blocks import whole_fragment
from pipeline.columns import ERROR, NUM_TOKENS, SECONDS, is_internal
from pipeline.manifest import Manifest, PartRecord
from pipeline.storage import clear_incomplete
from pipeline.writer import conform, write_part

if TYPE_CHECKING:
    from ray.data._internal.execution.interfaces import TaskContext


class PartSink(Datasink[list[PartRecord]]):
    """Writes blocks as parts under `root`, and a record of each once it is in place.

    A block that is written again gives the same bytes under the same name, so retries are safe.
    `on_part` is called with each record, in the worker that wrote it.
    Raises OutputError for a block that is not one whole fragment, or does not fit `schema`.
    """

    def __init__(
        self,
        filesystem: fs.FileSystem,
        root: str,
        schema: pa.Schema,
        compression: str = "zstd",
        on_part: Callable[[PartRecord], None] | None = None,
    ) -> None:
        self._filesystem = filesystem
        self._root = root
        self._schema = schema
        self._compression = compression
        self._on_part = on_part

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Remove what an earlier, killed run has left half written."""
        clear_incomplete(self._filesystem, self._root)

    def write(self, blocks: Iterable[Block], ctx: "TaskContext") -> list[PartRecord]:
        """Write each block; the records of the parts."""
        return [self._write_block(BlockAccessor.for_block(block).to_arrow()) for block in blocks]

    def _write_block(self, table: pa.Table) -> PartRecord:
        fragment = whole_fragment(table)
        rows = conform(
            table.drop_columns([name for name in table.column_names if is_internal(name)]),
            self._schema,
            fragment.part_path,
        )
        written = write_part(
            rows,
            fragment.part_path,
            filesystem=self._filesystem,
            root=self._root,
            compression=self._compression,
        )
        record = PartRecord(
            part_path=fragment.part_path,
            input_path=fragment.relative_path,
            input_version=fragment.version,
            first_row=fragment.first_row,
            num_rows=fragment.num_rows,
            num_bytes=written.num_bytes,
            sha256=written.sha256,
            num_errors=rows.num_rows - rows[ERROR].null_count,
            num_tokens=pc.sum(rows[NUM_TOKENS], min_count=0).as_py(),
            seconds=table[SECONDS][0].as_py() if SECONDS in table.column_names else None,
        )
        Manifest(self._filesystem, self._root).record(record)
        if self._on_part is not None:
            self._on_part(record)
        return record
