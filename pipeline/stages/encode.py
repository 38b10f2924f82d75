"""The encoding stage: add token ids to the rows of a fragment, or replace the rows by a failure."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from pipeline.columns import is_internal
from pipeline.config.job import JobConfig
from pipeline.encoding.fragment import encode_fragment
from pipeline.failures import FragmentFailure
from pipeline.heads.resolve import Head
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.stages.blocks import failure_block, failure_in, whole_fragment
from pipeline.stages.crash_isolation import find_crashing_rows
from pipeline.stages.stage_runner import StageRunner


def block_encoder(
    job: JobConfig, heads: list[Head], carried: pa.Schema, run_stage: StageRunner
) -> Callable[[pa.Table], pa.Table]:
    """The function that encodes a block, as a closure that Ray sends to the workers."""
    route, directory, kept = job.input.route, job.model.path, carried.names

    def encode(table: pa.Table) -> pa.Table:
        if failure_in(table) is not None:
            return table
        fragment = whole_fragment(table)
        result = run_stage(
            "encode",
            fragment,
            lambda: encode_rows(table),
            last_resort=lambda: encode_rows(table, find_crashing_rows(table, encode_rows)),
        )
        return failure_block(result, fragment) if isinstance(result, FragmentFailure) else result

    def encode_rows(table: pa.Table, refused: Mapping[int, str] | None = None) -> pa.Table:
        return encode_fragment(
            table,
            heads,
            load_tokenizer(directory),
            route=route,
            kept_columns=[*kept, *(name for name in table.column_names if is_internal(name))],
            refused=refused or {},
        )

    return encode
