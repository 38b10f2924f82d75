"""Results that are not finite on two ranks: both go the same way, and rows have nulls and errors as on one."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from model import ShardGroup
from pipeline.columns import ERROR
from tests.distributed.processes import run_on_ranks
from tests.not_finite_rows import (
    GENERATION_HEADS,
    GROWING_ROW,
    LONG_ROW,
    NUM_ROWS,
    heads_of,
    one_head_a_kind,
    overflowing_copy,
    table_of,
)
from tests.pipeline_in_process import annotate_in_process
from tests.task_checkpoints import write_task_checkpoints
from tests.tiny_tokenizer import write_tiny_sentencepiece


def annotate(group: ShardGroup, directory: Path, table: pa.Table, heads: dict[str, Any], model: Path) -> pa.Table:
    return annotate_in_process(directory, table, heads, model, group=group)[0]


def test_every_rank_has_the_same_nulls_and_errors(tmp_path: Path) -> None:
    checkpoints = write_task_checkpoints(tmp_path / "whole", write_tiny_sentencepiece(tmp_path / "tokenizer"))
    overflowing = overflowing_copy(checkpoints, tmp_path / "overflowing")
    (tmp_path / "run").mkdir()
    table, heads = table_of(checkpoints.tokenizer), one_head_a_kind(heads_of(overflowing))
    arguments = tmp_path / "run", table, heads, overflowing.encoder
    alone = annotate(ShardGroup(), *arguments)
    first, second = run_on_ranks(2, annotate, *arguments, timeout_s=240)
    # As text, since NaN is no equal of itself.
    assert str(first.to_pylist()) == str(second.to_pylist())
    assert first[ERROR].to_pylist() == alone[ERROR].to_pylist()
    for name in heads:
        bad = {LONG_ROW, GROWING_ROW} if name in GENERATION_HEADS else {LONG_ROW}
        assert first[name].is_valid().to_pylist() == [row not in bad for row in range(NUM_ROWS)], name
