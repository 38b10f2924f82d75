"""The Ray Data source: one read task per fragment, one block per read task."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import ray.data
from pyarrow import fs
from ray.data import DataContext, Dataset
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.input.reading import read_fragment
from pipeline.stages.blocks import KEY_FIELDS, failure_block, with_keys
from pipeline.stages.stage_runner import StageRunner, run_unprotected


class FragmentSource(Datasource):
    """Reads fragments as blocks with keys: the columns of `schema`, then `__fragment`, `__row`.

    Where a fragment cannot be read, `run_stage` decides whether that is an error, or a block that tells of the
    failure.
    """

    def __init__(
        self,
        fragments: Sequence[Fragment],
        schema: pa.Schema,
        filesystem: fs.FileSystem,
        run_stage: StageRunner = run_unprotected,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._fragments = tuple(fragments)
        self._schema = schema
        self._filesystem = filesystem
        self._run_stage = run_stage

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of all fragments, uncompressed."""
        return sum(fragment.num_bytes for fragment in self._fragments)

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """One task a fragment, in order, whatever `parallelism` asks for."""
        return [self._read_task(fragment, per_task_row_limit) for fragment in self._fragments]

    def _read_task(self, fragment: Fragment, row_limit: int | None) -> ReadTask:
        schema, filesystem, run_stage = self._schema, self._filesystem, self._run_stage

        def read() -> Iterable[pa.Table]:
            table = run_stage("read", fragment, lambda: read_fragment(fragment, schema, filesystem))
            if isinstance(table, FragmentFailure):
                yield failure_block(table, fragment)
            else:
                yield with_keys(table, fragment)

        metadata = BlockMetadata(
            num_rows=fragment.num_rows,
            size_bytes=fragment.num_bytes,
            exec_stats=None,
            input_files=(fragment.path,),
        )
        return ReadTask(read, metadata, pa.schema([*schema, *KEY_FIELDS]), row_limit)


def read_fragments(
    fragments: Sequence[Fragment],
    schema: pa.Schema,
    filesystem: fs.FileSystem,
    *,
    run_stage: StageRunner = run_unprotected,
) -> Dataset:
    """The dataset of some fragments, at least one: a block for each, which Ray leaves whole."""
    assert fragments, "a dataset without fragments has no schema"
    dataset: Dataset = ray.data.read_datasource(
        FragmentSource(fragments, schema, filesystem, run_stage),
        num_cpus=1,
        # Asked for more blocks than there are tasks, Ray would split each task's block.
        override_num_blocks=len(fragments),
    )
    # No bound on the size of a block: over it, Ray would split that too.
    dataset.context.target_max_block_size = None
    return dataset
