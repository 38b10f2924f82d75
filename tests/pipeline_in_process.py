"""The path of a row without Ray: plan, read, encode, compute on one shard in this process, decode."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model import ShardGroup, XLMRobertaXLTokenizer
from pipeline.batching.fragment_columns import FragmentColumns, RunBatches, decode, prepare, run_batches
from pipeline.batching.lost_rows import with_problems
from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.columns import is_encoded
from pipeline.config.job import JobConfig
from pipeline.encoding.fragment import encode_fragment
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head, resolve_heads
from pipeline.heads.shared_trunks import share_trunks
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.input.planning import plan_fragments
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank_settings import RankSettings
from pipeline.stages.blocks import with_keys
from tests.unit.pipeline.input_files import read_fragment


@dataclass(frozen=True)
class Encoded:
    """A fragment as it comes to an annotator, and what is needed to annotate it."""

    rows: pa.Table
    fragment: Fragment
    heads: list[Head]
    tokenizer: XLMRobertaXLTokenizer

    @property
    def settings(self) -> RankSettings:
        """Of a shard on this machine."""
        return RankSettings("cpu", "float32", 1, self.tokenizer.vocab_size)


def encode_in_process(
    directory: Path, table: pa.Table, heads: dict[str, Any], model: Path, *, route: str | None = None
) -> Encoded:
    """Plan, read and encode a table as a job would; `directory` takes its Parquet file."""
    path = directory / "input.parquet"
    if not path.exists():
        pq.write_table(table, path)
    job = JobConfig.model_validate(
        {
            "model": {"path": str(model)},
            "input": {"path": str(path), "max_fragment_rows": 10**6, "max_fragment_bytes": 10**9}
            | ({"route": route} if route else {}),
            "output": {"path": str(directory / "out")},
            "heads": heads,
        }
    )
    resolved = share_trunks(resolve_heads(job))
    plan = plan_fragments(job)
    tokenizer = load_tokenizer(str(model))
    [fragment] = plan.fragments
    rows = with_keys(read_fragment(fragment, plan.read_schema, plan.filesystem), fragment)
    kept = plan.carried_schema.names
    encoded = encode_fragment(rows, resolved, tokenizer, route=route, kept_columns=kept)
    return Encoded(encoded, fragment, resolved, tokenizer)


def compute_head_columns(
    table: pa.Table,
    fragment: Fragment,
    heads: Sequence[Head],
    tokenizer: XLMRobertaXLTokenizer,
    run: RunBatches,
    *,
    token_budget: int,
) -> FragmentColumns:
    """Batch the sequences of a fragment, run them, and decode what comes back.

    Args:
        table: the rows of `fragment` as `encode_fragment` leaves them.
        token_budget: most tokens of a batch.
    """
    prepared = prepare(table, fragment, heads, tokenizer)
    return decode(prepared, run_batches(prepared, run, token_budget=token_budget))


def annotate_in_process(
    directory: Path,
    table: pa.Table,
    heads: dict[str, Any],
    model: Path,
    *,
    group: ShardGroup | None = None,
    token_budget: int = 2048,
    route: str | None = None,
    dtype: str | None = None,
) -> tuple[pa.Table, ModelRunner]:
    """Annotate a table as a job would. Returns the output and the shard."""
    encoded = encode_in_process(directory, table, heads, model, route=route)
    settings = encoded.settings if dtype is None else replace(encoded.settings, dtype=dtype)
    shard = ModelRunner(encoded.heads, settings, group or ShardGroup())

    def run(batches: Iterable[RankBatch]) -> Iterator[BatchOutput]:
        return (shard.launch(batch).results() for batch in batches)

    computed = compute_head_columns(
        encoded.rows, encoded.fragment, encoded.heads, encoded.tokenizer, run, token_budget=token_budget
    )
    output = encoded.rows.drop_columns([name for name in encoded.rows.column_names if is_encoded(name)])
    output = with_problems(output, computed.problems)
    for name, column in computed.columns.items():
        output = output.append_column(name, column)
    return output, shard
