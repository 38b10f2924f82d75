"""The path of a row without Ray: plan, read, encode, compute on one shard in this process, decode."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model import ShardGroup
from pipeline.blocks import with_keys
from pipeline.columns import is_encoded
from pipeline.config import JobConfig
from pipeline.encoding import encode_fragment, load_tokenizer
from pipeline.head_columns import compute_head_columns
from pipeline.heads import resolve_heads
from pipeline.planning import plan_fragments
from pipeline.reading import read_fragment
from pipeline.requests import ShardBatch
from pipeline.shard import Results, Shard, ShardSettings
from pipeline.trunks import share_trunks


def annotate_in_process(
    directory: Path,
    table: pa.Table,
    heads: dict[str, Any],
    model: Path,
    *,
    group: ShardGroup | None = None,
    token_budget: int = 2048,
    route: str | None = None,
) -> tuple[pa.Table, Shard]:
    """Annotate a table as a job would; `directory` takes its Parquet file. Returns the output and the shard."""
    path = directory / "input.parquet"
    if not path.exists():
        pq.write_table(table, path)
    job = JobConfig.model_validate(
        {
            "model": {"path": str(model), "token_budget": token_budget},
            "input": {"path": str(path), "max_fragment_rows": 10**6, "max_fragment_bytes": 10**9}
            | ({"route": route} if route else {}),
            "output": {"path": str(directory / "out")},
            "heads": heads,
        }
    )
    resolved = share_trunks(resolve_heads(job))
    plan = plan_fragments(job)
    tokenizer = load_tokenizer(str(model))
    settings = ShardSettings("cpu", "float32", 1, tokenizer.vocab_size)
    shard = Shard(resolved, settings, group or ShardGroup())
    [fragment] = plan.fragments
    rows = with_keys(read_fragment(fragment, plan.read_schema, plan.filesystem), fragment)
    encoded = encode_fragment(rows, resolved, tokenizer, route=route, kept_columns=plan.carried_schema.names)

    def run(batches: Iterable[ShardBatch]) -> Iterator[Results]:
        return map(shard.run, batches)

    computed = compute_head_columns(encoded, fragment, resolved, tokenizer, run, token_budget=token_budget)
    output = encoded.drop_columns([name for name in encoded.column_names if is_encoded(name)])
    for name, column in computed.columns.items():
        output = output.append_column(name, column)
    return output, shard
