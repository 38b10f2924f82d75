"""Lost sequences and the rows and heads that lack them, from batches to columns, with a shard in this process."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from model import ShardGroup
from pipeline.batching.batch_pieces import BatchOutcome, take_sequences
from pipeline.batching.fragment_columns import FragmentColumns
from pipeline.batching.lost_rows import with_problems
from pipeline.batching.rank_batch import RankBatch
from pipeline.columns import ERROR, sequence_column
from pipeline.replica.model_runner import ModelRunner
from tests.pipeline_in_process import Encoded, compute_head_columns, encode_in_process
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

HEADS: dict[str, Any] = {
    "topic": {"task": "text-classification", "window": 24},
    "vector": {"task": "embedding", "window": 24},
    "pair": {"task": "text-classification", "text_pair": "other", "window": 64, "truncate": True},
}
LONG = " ".join(SENTENCES[:4])
TEXTS = [SENTENCES[0], LONG, None, SENTENCES[6], LONG]
ROUTE: list[list[str] | None] = [None, None, None, ["vector"], ["topic", "pair"]]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    directory = tmp_path_factory.mktemp("losses")
    table = pa.table({"text": TEXTS, "other": SENTENCES[: len(TEXTS)], "heads": ROUTE})
    return encode_in_process(directory, table, HEADS, tiny_checkpoint(directory / "model"), route="heads")


def annotate(encoded: Encoded, lost: set[tuple[int, ...]]) -> FragmentColumns:
    """Columns where the sequences with these token ids are lost."""
    shard = ModelRunner(encoded.heads, encoded.settings, ShardGroup())

    def outcome(batch: RankBatch) -> BatchOutcome:
        ends = np.cumsum(batch.lengths)
        sequences = np.split(batch.input_ids, ends[:-1])
        here = {i: "it was lost" for i, ids in enumerate(sequences) if tuple(ids.tolist()) in lost}
        rest = np.array([i for i in range(len(sequences)) if i not in here], dtype=np.int64)
        return BatchOutcome(shard.launch(take_sequences(batch, rest).batch).results() if len(rest) else {}, here)

    def run(batches: Iterable[RankBatch]) -> Iterator[BatchOutcome]:
        return map(outcome, batches)

    return compute_head_columns(
        encoded.rows, encoded.fragment, encoded.heads, encoded.tokenizer, run, token_budget=100
    )


def windows_of(encoded: Encoded, spec: int, row: int) -> list[tuple[int, ...]]:
    return [tuple(window["input_ids"].as_py()) for window in encoded.rows[sequence_column(spec)][row]]


def test_without_losses_there_are_no_problems(encoded: Encoded) -> None:
    found = annotate(encoded, set())
    assert found.problems == {}
    assert [column.is_valid().to_pylist() for column in found.columns.values()] == [
        [True, True, False, False, True],
        [True, True, False, True, False],
        [True, True, False, False, True],
    ]


def test_a_row_that_lacks_one_window_has_nothing_from_the_heads_that_read_it(encoded: Encoded) -> None:
    whole = annotate(encoded, set())
    [*_, last] = windows_of(encoded, 0, 1)
    assert len(windows_of(encoded, 0, 1)) > 1
    found = annotate(encoded, {last})
    # Row 4 has the same text and asks for one of the two heads.
    assert found.problems == {1: "topic, vector: it was lost", 4: "topic: it was lost"}
    for name, column in found.columns.items():
        gone = [1, 4] if name != "pair" else []
        for row, value in enumerate(column):
            expected = None if row in gone else whole.columns[name][row].as_py()
            assert flat(value.as_py()) == pytest.approx(flat(expected), abs=1e-5)


def flat(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in flat(item)]
    return [value] if isinstance(value, float) else []


def test_everything_may_be_lost(encoded: Encoded) -> None:
    everything = {ids for spec in (0, 1) for row in range(len(TEXTS)) for ids in windows_of(encoded, spec, row)}
    found = annotate(encoded, everything)
    assert all(column.null_count == len(TEXTS) for column in found.columns.values())
    assert found.problems == {
        0: "topic, vector, pair: it was lost",
        1: "topic, vector, pair: it was lost",
        3: "vector: it was lost",
        4: "topic, pair: it was lost",
    }


def test_problems_are_added_to_the_errors_of_a_row() -> None:
    table = pa.table({ERROR: pa.array([None, "bad", None]), "id": [1, 2, 3]})
    assert with_problems(table, {}) is table
    found = with_problems(table, {1: "lost", 2: "gone"})
    assert found[ERROR].to_pylist() == [None, "bad; lost", "gone"]
    assert found.column_names == [ERROR, "id"]
