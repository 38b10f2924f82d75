"""A rank in this process: batches are launched and collected in order, whatever becomes of them."""

from collections.abc import Iterator
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from model import ShardGroup
from pipeline.batching.rank_batch import RankBatch
from pipeline.heads.resolve import Head, read_config
from pipeline.replica.device_transfer import PendingOutput
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank import OutOfMemory, Rank, is_out_of_memory
from pipeline.replica.rank_settings import RankSettings
from pipeline.tasks.requests import HeadRequest
from tests.unit.pipeline.compute_fixtures import TINY_VOCAB_SIZE, make_head, tiny_checkpoint

SETTINGS = RankSettings("cpu", "float32", 1, TINY_VOCAB_SIZE)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    directory = tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return make_head("vector", "embedding", trunk=str(directory), config=read_config(str(directory), "weights"))


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Ranks set their number, which is the process's own."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def rank_of(head: Head, number: int = 0) -> Rank:
    rank = Rank(number, 1, SETTINGS)
    rank.load([head], None)
    return rank


def batch_of(head: Head, *lengths: int) -> RankBatch:
    ids = np.arange(4, 4 + sum(lengths), dtype=np.int32)
    request = HeadRequest(np.arange(len(lengths), dtype=np.int32))
    return RankBatch(head.trunk, ids, np.array(lengths, dtype=np.int32), {head.name: request})


def vectors(results: Any) -> np.ndarray[Any, Any]:
    return np.asarray(results["vector"][0])


def test_batches_are_collected_in_the_order_of_launching(head: Head) -> None:
    rank, shard = rank_of(head), ModelRunner([head], SETTINGS, ShardGroup())
    batches = [batch_of(head, *lengths) for lengths in ((5, 9), (7,), (3, 4, 8))]
    for batch in batches:
        rank.launch(batch)
    for batch in batches:
        np.testing.assert_array_equal(vectors(rank.collect()), vectors(shard.launch(batch).results()))


def test_running_is_launching_and_collecting(head: Head) -> None:
    rank, batch = rank_of(head), batch_of(head, 5, 9)
    rank.launch(batch)
    np.testing.assert_array_equal(vectors(rank.run(batch)), vectors(rank.collect()))


def test_whoever_collects_waits_for_the_launch(head: Head) -> None:
    rank = rank_of(head)
    found: list[Any] = []
    waiting = Thread(target=lambda: found.append(rank.collect()))
    waiting.start()
    waiting.join(timeout=0.2)
    assert waiting.is_alive()
    rank.launch(batch_of(head, 5))
    waiting.join(timeout=60)
    assert vectors(found[0]).shape == (1, 32)


def test_other_ranks_wait_and_return_nothing(head: Head) -> None:
    rank = rank_of(head, number=1)
    rank.launch(batch_of(head, 5))
    assert rank.collect() is None
    assert rank.run(batch_of(head, 5)) is None


def test_a_batch_that_goes_wrong_leaves_the_next_one_its_place(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank = rank_of(head)
    launch = ModelRunner.launch
    wrong = {6: ValueError("the text of a row"), 7: torch.OutOfMemoryError("CUDA out of memory")}

    def faulty(shard: ModelRunner, batch: RankBatch) -> PendingOutput:
        if len(batch.input_ids) in wrong:
            raise wrong[len(batch.input_ids)]
        return launch(shard, batch)

    monkeypatch.setattr(ModelRunner, "launch", faulty)
    for call in (rank.run, rank.launch):
        with pytest.raises(ValueError, match="the text of a row"):
            call(batch_of(head, 6))
    assert rank.run(batch_of(head, 7)) == OutOfMemory(7)
    rank.launch(batch_of(head, 7))
    rank.launch(batch_of(head, 8))
    assert rank.collect() is None
    assert rank.collect() == OutOfMemory(7)
    assert vectors(rank.collect()).shape == (1, 32)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("Connection closed by peer"), False),
    ],
)
def test_memory_that_has_run_out_is_told_from_other_errors(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory
