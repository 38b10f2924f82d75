"""The Ray Data sink: check that a block is one whole fragment, and write it as a part."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from ray.data.block import Block, BlockAccessor
from ray.data.datasource import Datasink

from pipeline.arrays.column_types import packed, unpacked
from pipeline.columns import ERROR, NUM_TOKENS, is_internal
from pipeline.errors import OutputError
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.output.failure_log import FailureLog
from pipeline.output.manifest import Manifest, PartRecord
from pipeline.output.output_folder import OutputFolder
from pipeline.output.part_writer import conform, write_part
from pipeline.output.versions import versions
from pipeline.stages.blocks import failure_in, whole_fragment
from pipeline.stages.stage_runner import StageRunner, run_unprotected

if TYPE_CHECKING:
    from ray.data._internal.execution.interfaces import TaskContext


class PartSink(Datasink[None]):
    """Writes blocks as parts of an output folder, and a record of each once it is in place.

    A block that is written again gives the same bytes under the same name, so retries are safe. `staged_inputs`:
    relative paths of input files whose parts are to be staged.
    A block that stands for a failed fragment is recorded as that, and so is one that cannot be written if
    `run_stage` lets it be. `on_part` is called with each record of a part, `on_failure` with each failure, in the
    worker that wrote it. `failed_before`: part paths of fragments with a record of failure, which goes with
    their success.
    Raises OutputError for a block that is not one whole fragment.
    """

    def __init__(
        self,
        folder: OutputFolder,
        schema: pa.Schema,
        compression: str = "zstd",
        staged_inputs: Collection[str] = (),
        on_part: Callable[[PartRecord], None] | None = None,
        on_failure: Callable[[FragmentFailure], None] | None = None,
        run_stage: StageRunner = run_unprotected,
        failed_before: Collection[str] = (),
    ) -> None:
        self._folder = folder
        self._schema = packed(schema)
        self._compression = compression
        self._staged_inputs = frozenset(staged_inputs)
        self._on_part = on_part
        self._on_failure = on_failure
        self._run_stage = run_stage
        self._failed_before = frozenset(failed_before)

    def write(self, blocks: Iterable[Block], ctx: "TaskContext") -> None:
        """Write each block. Nothing is returned: Ray would gather it in the driver."""
        for block in blocks:
            self._write_block(BlockAccessor.for_block(block).to_arrow())

    def _write_block(self, table: pa.Table) -> None:
        failure = failure_in(table)
        if failure is None:
            fragment = whole_fragment(table)
            result = self._run_stage("write", fragment, lambda: self._write_part(table, fragment))
            if isinstance(result, PartRecord):
                return
            failure = result
        # Recording may fail for the same reason as the part; the driver is told all the same.
        with suppress(OutputError):
            FailureLog(self._folder).record(failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    def _write_part(self, table: pa.Table, fragment: Fragment) -> PartRecord:
        rows = conform(
            table.drop_columns([name for name in table.column_names if is_internal(name)]),
            unpacked(self._schema),
            fragment.part_path,
        )
        manifest = Manifest(self._folder)
        manifest.announce(fragment.part_path)
        path = self._folder.path_of(fragment, self._staged_inputs)
        written = write_part(rows, self._folder, path, self._compression)
        record = PartRecord(
            part_path=fragment.part_path,
            input_path=fragment.relative_path,
            input_version=fragment.version,
            input_mark=fragment.mark,
            first_row=fragment.first_row,
            num_rows=fragment.num_rows,
            num_bytes=written.num_bytes,
            sha256=written.sha256,
            num_errors=rows.num_rows - rows[ERROR].null_count,
            num_tokens=pc.sum(rows[NUM_TOKENS], min_count=0).as_py(),
            versions=versions(),
        )
        manifest.record(record)
        if fragment.part_path in self._failed_before:
            FailureLog(self._folder).forget(fragment.part_path)
        if self._on_part is not None:
            self._on_part(record)
        return record
