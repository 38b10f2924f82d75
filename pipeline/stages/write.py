"""The Ray Data sink: check that each block is a whole fragment, and write it as a part."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from ray.data.block import Block, BlockAccessor
from ray.data.datasource import Datasink

from pipeline.arrays.column_types import packed, unpacked
from pipeline.columns import ERROR, NUM_TOKENS, is_internal
from pipeline.errors import OutputError
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head
from pipeline.monitoring.tallies import Tally
from pipeline.output.failure_log import FailureLog
from pipeline.output.manifest import PartRecord
from pipeline.output.output_folder import OutputFolder
from pipeline.output.part_writer import conform, encode_part, finish_part
from pipeline.stages.blocks import failure_in, whole_fragment
from pipeline.stages.stage_runner import StageRunner, run_unprotected
from pipeline.stages.tally import tally_rows
from pipeline.storage.sent import Sent

if TYPE_CHECKING:
    from ray.data._internal.execution.interfaces import TaskContext


@dataclass(eq=False)
class PartSink(Datasink[None]):
    """Writes blocks as parts of an output folder, each followed by its record; failures are recorded too.

    Retries are safe, as the same block gives the same bytes under the same name.

    Args:
        staged_inputs: relative paths of input files whose parts are staged.
        heads: whose labels are counted.
        metadata: of the schema of each part; None in an output of format 1, whose parts have none, and whose
            records have fewer counts.
        on_part, on_failure: called with each record and its tally, or failure, in the worker.
        run_stage: decides whether an error of writing becomes a failure.
        failed_before: part paths with a recorded failure, which is deleted after success.
    """

    folder: OutputFolder
    schema: InitVar[pa.Schema]
    compression: str = "zstd"
    staged_inputs: Collection[str] = ()
    on_part: Callable[[PartRecord, Tally], None] | None = None
    on_failure: Callable[[FragmentFailure], None] | None = None
    run_stage: StageRunner = run_unprotected
    failed_before: Collection[str] = ()
    heads: Sequence[Head] = ()
    metadata: Mapping[str, str] | None = None

    def __post_init__(self, schema: pa.Schema) -> None:
        self._schema = packed(schema)
        self.failed_before = frozenset(self.failed_before)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "folder": Sent(self.folder)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, folder=state["folder"].value)

    def write(self, blocks: Iterable[Block], ctx: "TaskContext") -> None:
        """Write each block. Returns nothing, as Ray would collect it in the driver."""
        for block in blocks:
            self._write_block(BlockAccessor.for_block(block).to_arrow())

    def _write_block(self, table: pa.Table) -> None:
        failure = failure_in(table)
        if failure is None:
            fragment = whole_fragment(table)
            result = self.run_stage("write", fragment, lambda: self._write_part(table, fragment))
            if isinstance(result, PartRecord):
                return
            failure = result
        # Recording may fail for the same reason; the driver is told in any case.
        with suppress(OutputError):
            FailureLog(self.folder).record(failure)
        if self.on_failure is not None:
            self.on_failure(failure)

    def _write_part(self, table: pa.Table, fragment: Fragment) -> PartRecord:
        rows = conform(
            table.drop_columns([name for name in table.column_names if is_internal(name)]),
            unpacked(self._schema),
            fragment.part_path,
        )
        tally = tally_rows(rows, self.heads)
        record = finish_part(
            self.folder,
            fragment,
            encode_part(rows, self.compression, self.metadata),
            staged_inputs=self.staged_inputs,
            num_errors=rows.num_rows - rows[ERROR].null_count,
            num_tokens=pc.sum(rows[NUM_TOKENS], min_count=0).as_py(),
            num_windows=None if self.metadata is None else tally.num_windows,
            errors=None if self.metadata is None else tally.errors,
        )
        if fragment.part_path in self.failed_before:
            FailureLog(self.folder).forget(fragment.part_path)
        if self.on_part is not None:
            self.on_part(record, tally)
        return record
