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
    """Reads fragments as blocks: the columns of `schema` and the key columns, or a failure."""

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
        """Uncompressed bytes of all fragments."""
        return sum(fragment.num_bytes for fragment in self._fragments)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """One task per fragment, in order, regardless of `parallelism`."""
        return [self._read_task(fragment, per_task_row_limit) for fragment in self._fragments]

    def _read_task(self, fragment: Fragment, row_limit: int | None) -> ReadTask:
        schema, filesystem, run_stage = self._schema, self._filesystem, self._run_stage

        def read() -> Iterable[pa.Table]:
            table = run_stage("read", fragment, lambda: read_fragment(fragment, schema, filesystem))
            is_failed = isinstance(table, FragmentFailure)
            yield failure_block(table, fragment) if is_failed else with_keys(table, fragment)

        size = fragment.num_rows, fragment.num_bytes
        metadata = BlockMetadata(*size, exec_stats=None, input_files=(fragment.path,))
        return ReadTask(read, metadata, pa.schema([*schema, *KEY_FIELDS]), row_limit)


def read_fragments(
    fragments: Sequence[Fragment],
    schema: pa.Schema,
    filesystem: fs.FileSystem,
    *,
    run_stage: StageRunner = run_unprotected,
) -> Dataset:
    """The dataset of some fragments, with one block for each."""
    dataset: Dataset = ray.data.read_datasource(
        FragmentSource(fragments, schema, filesystem, run_stage),
        num_cpus=1,
        # With more blocks than tasks, Ray would split the block of each task.
        override_num_blocks=len(fragments),
    )
    # Without a limit, as Ray would split larger blocks.
    dataset.context.target_max_block_size = None
    return dataset
