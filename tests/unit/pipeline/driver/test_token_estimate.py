from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.job import JobConfig
from pipeline.driver.token_estimate import TokenEstimate, estimate_tokens
from pipeline.heads.resolve import resolve_heads
from pipeline.input.planning import plan_fragments
from tests.pipeline_in_process import annotate_in_process
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint
from tests.unit.pipeline.input_files import write

HEADS: dict[str, Any] = {
    "topic": {"task": "text-classification", "window": 32, "stride": 8},
    "vector": {"task": "embedding", "window": 32, "stride": 8},
    "loss": {"task": "masked-lm-loss"},
    "each": {"task": "masked-lm-loss", "strategy": "all"},
    "pair": {"task": "text-classification", "text_pair": "second"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model"))


def job_of(model: Path, path: Path) -> JobConfig:
    return JobConfig.model_validate(
        {
            "model": {"path": str(model)},
            "input": {"path": str(path), "route": "heads", "max_fragment_rows": 50},
            "output": {"path": "/nowhere/out"},
            "heads": HEADS,
        }
    )


def estimated(job: JobConfig) -> TokenEstimate | None:
    return estimate_tokens(job, resolve_heads(job), plan_fragments(job))


def texts(num_rows: int) -> pa.Table:
    long = " ".join(SENTENCES[:2])
    all_texts = [None if i % 5 == 1 else long if i % 4 == 0 else SENTENCES[i % 7] for i in range(num_rows)]
    routes = [None if i % 3 else ["loss"] for i in range(num_rows)]
    return pa.table(
        {
            "text": pa.array(all_texts, pa.string()),
            "second": pa.array([SENTENCES[0]] * num_rows, pa.string()),
            "heads": pa.array(routes, pa.list_(pa.string())),
        }
    )


def test_few_rows_are_counted_as_they_go_through_the_trunk(model: Path, tmp_path: Path) -> None:
    table = texts(12)
    (tmp_path / "run").mkdir()
    _, shard = annotate_in_process(tmp_path / "run", table, HEADS, model, route="heads")
    found = estimated(job_of(model, write(tmp_path / "in" / "a.parquet", table)))
    assert found is not None
    assert (found.num_rows, found.is_exact) == (12, True)
    assert [each.heads for each in found.passes] == [("topic", "vector"), ("loss",), ("each",), ("pair",)]
    assert found.tokens_per_row * 12 == pytest.approx(shard.num_trunk_tokens)
    assert found.passes[2].sequences_per_row > found.passes[1].sequences_per_row


def test_many_rows_are_estimated_from_some(model: Path, tmp_path: Path) -> None:
    table = texts(2000)
    path = write(tmp_path / "a.parquet", table, row_group_size=300)
    found = estimated(job_of(model, path))
    assert found is not None
    assert 900 <= found.num_rows <= 1100
    assert not found.is_exact
    pq.write_table(table.slice(0, 60), tmp_path / "few.parquet")
    few = estimated(job_of(model, tmp_path / "few.parquet"))
    assert few is not None
    # The rows repeat after 420.
    assert found.tokens_per_row == pytest.approx(few.tokens_per_row, rel=0.15)


def test_nothing_is_estimated_without_rows(model: Path, tmp_path: Path) -> None:
    assert estimated(job_of(model, write(tmp_path / "a.parquet", texts(0)))) is None
