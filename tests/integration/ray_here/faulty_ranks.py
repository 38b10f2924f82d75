"""Ranks that die, fail, or run out of memory at batches of the test's choosing: real processes, real deaths."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from pipeline.batching.rank_batch import RankBatch
from pipeline.heads.resolve import Head
from pipeline.replica.device_transfer import PendingOutput
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank import Rank
from pipeline.replica.shard_group import Replica


@dataclass(frozen=True)
class Faults:
    """What goes wrong, by the tokens of a batch.

    Attributes:
        deadly, failing: token ids of batches that kill the last rank, and that it raises an error at.
        memory: tokens of the largest batch that fits.
        only_rank: the rank whose memory that is; None for all.
        stopped: a file; the last rank removes it, and stands still.
    """

    deadly: int = -1
    failing: int = -1
    memory: int = 10**9
    only_rank: int | None = None
    stopped: str = ""


class FaultyShard:
    """A shard with faults."""

    def __init__(self, shard: ModelRunner, faults: Faults) -> None:
        self._shard = shard
        self._faults = faults
        self._is_last = shard.group.rank == shard.group.size - 1

    def launch(self, batch: RankBatch) -> PendingOutput:
        """As `ModelRunner.launch`, if all goes well."""
        faults, ids = self._faults, batch.input_ids
        if self._is_last and faults.deadly in ids:
            os._exit(1)
        if self._is_last and faults.failing in ids:
            raise ValueError("the text of a row")
        if self._is_last and faults.stopped and Path(faults.stopped).exists():
            Path(faults.stopped).unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        if len(ids) > faults.memory and faults.only_rank in (None, self._shard.group.rank):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._shard.launch(batch)


def faulty_rank(faults: Faults) -> type[Rank]:
    """A class of ranks with these faults."""

    class FaultyRank(Rank):
        collective_timeout_s: ClassVar[float] = 3.0

        def load(self, heads: Sequence[Head], address: tuple[str, int] | None) -> dict[str, list[str]]:
            unused = super().load(heads, address)
            assert self._runner is not None
            self._runner = FaultyShard(self._runner, faults)  # type: ignore[assignment]
            return unused

    return FaultyRank


def faulty_replica(faults: Faults) -> type[Replica]:
    """A class of replicas with such ranks."""

    class FaultyReplica(Replica):
        rank_class: ClassVar[type[Rank]] = faulty_rank(faults)

    return FaultyReplica
