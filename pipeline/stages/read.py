"""The Ray Data source: one block per fragment; slices of one row group are read by one task, in one pass."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
import ray.data
from pyarrow import fs
from ray.data import DataContext, Dataset
from ray.data._internal.output_buffer import OutputBlockSizeOption
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.input.reading import FragmentReader
from pipeline.stages.blocks import KEY_FIELDS, failure_block, with_keys
from pipeline.stages.stage_runner import StageRunner, run_unprotected
from pipeline.storage.sent import Sent

# A task decodes its row group from the first row on: fewer tasks decode less. But one runs after another, and all
# of one runs again after a crash. A task of this size (32 fragments of 8 MiB) is read in seconds, far faster
# than its rows can be annotated, and its blocks fit into the object store should nobody take them.
MAX_TASK_BYTES = 256 * 2**20
MAX_TASK_FRAGMENTS = 256


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
        """The tasks of `read_together`, in order, regardless of `parallelism`."""
        return [self._read_task(some, per_task_row_limit) for some in read_together(self._fragments)]

    def _read_task(self, fragments: Sequence[Fragment], row_limit: int | None) -> ReadTask:
        schema, sent, run_stage = self._schema, Sent(self._filesystem), self._run_stage

        def read() -> Iterable[pa.Table]:
            reader = FragmentReader(schema, sent.value)
            for fragment in fragments:
                # Not in a variable, which would keep the block while the next one is read.
                yield block(reader, fragment)
            reader.close()

        def block(reader: FragmentReader, fragment: Fragment) -> pa.Table:
            table = run_stage("read", fragment, partial(reader.read, fragment))
            is_failed = isinstance(table, FragmentFailure)
            return failure_block(table, fragment) if is_failed else with_keys(table, fragment)

        metadata = BlockMetadata(
            sum(fragment.num_rows for fragment in fragments),
            sum(fragment.num_bytes for fragment in fragments),
            exec_stats=None,
            input_files=(fragments[0].path,),
        )
        return ReadTask(read, metadata, pa.schema([*schema, *KEY_FIELDS]), row_limit)


def read_fragments(
    fragments: Sequence[Fragment],
    schema: pa.Schema,
    filesystem: fs.FileSystem,
    *,
    run_stage: StageRunner = run_unprotected,
) -> Dataset:
    """The dataset of some fragments, with one block for each."""
    _keep_blocks()
    dataset: Dataset = ray.data.read_datasource(
        FragmentSource(fragments, schema, filesystem, run_stage),
        num_cpus=1,
        # With more blocks than tasks, Ray would split the block of each task.
        override_num_blocks=len(list(read_together(fragments))),
    )
    # Without a limit, as Ray would split larger blocks.
    dataset.context.target_max_block_size = None
    return dataset


def read_together(fragments: Iterable[Fragment]) -> Iterator[list[Fragment]]:
    """Consecutive fragments by read task: slices of one row group together, within the bounds of a task."""
    some: list[Fragment] = []
    for fragment in fragments:
        if some and not (
            (fragment.path, fragment.row_groups) == (some[0].path, some[0].row_groups)
            and len(some) < MAX_TASK_FRAGMENTS
            and sum(other.num_bytes for other in some) + fragment.num_bytes <= MAX_TASK_BYTES
        ):
            yield some
            some = []
        some.append(fragment)
    if some:
        yield some


def _keep_blocks() -> None:
    """Let tasks yield blocks as they are: without a limit of size, Ray Data joins all blocks of a task."""
    OutputBlockSizeOption.of = staticmethod(_size_option)  # type: ignore[method-assign]


def _size_option(
    target_max_block_size: int | None = None,
    target_num_rows_per_block: int | None = None,
    disable_block_shaping: bool = False,
) -> OutputBlockSizeOption:
    has_no_limit = target_max_block_size is None and target_num_rows_per_block is None
    return OutputBlockSizeOption(
        target_max_block_size, target_num_rows_per_block, disable_block_shaping or has_no_limit
    )
