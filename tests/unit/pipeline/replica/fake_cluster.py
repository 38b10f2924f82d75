"""A cluster that stands for Ray: a script says which ranks die, stall or raise errors, and when."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ray.exceptions import GetTimeoutError

from pipeline.batching.rank_batch import RankBatch
from pipeline.replica.shard_group import COLLECTING

SILENT = "never answers"
Event = tuple[int, int, str]


@dataclass(eq=False)
class Ref:
    """What is to come of a call: a value, an error that is raised, or SILENT."""

    outcome: Any


@dataclass
class Method:
    call: Callable[..., Any]

    def options(self, *, concurrency_group: str) -> "Method":
        assert concurrency_group == COLLECTING
        return self

    def remote(self, *args: Any) -> Ref:
        return Ref(self.call(*args))


@dataclass
class FakeRank:
    """A rank of the group's `generation`, counted from 0."""

    cluster: "FakeCluster"
    generation: int
    rank: int
    is_killed: bool = False
    launched: deque[str] = field(default_factory=deque)

    @property
    def serve_rendezvous(self) -> Method:
        return Method(lambda: self._outcome("meet", ("host", 1)))

    @property
    def load(self) -> Method:
        return Method(lambda heads, address: self._outcome("load", {}))

    @property
    def run(self) -> Method:
        return Method(self._run)

    @property
    def launch(self) -> Method:
        return Method(self._launch)

    @property
    def collect(self) -> Method:
        return Method(self._collect)

    @property
    def is_in_step(self) -> Method:
        return Method(lambda: self._outcome("step", True))

    @property
    def peak_memory(self) -> Method:
        return Method(lambda: self._outcome("peak", self.rank))

    def _run(self, batch: RankBatch) -> Any:
        self.cluster.sent.append((self.generation, self.rank, batch.trunk))
        return self._results(batch.trunk)

    def _launch(self, batch: RankBatch) -> Any:
        self.cluster.sent.append((self.generation, self.rank, batch.trunk))
        self.launched.append(batch.trunk)
        return self._outcome(f"launch {batch.trunk}", None)

    def _collect(self) -> Any:
        return self._results(self.launched.popleft())

    def _results(self, name: str) -> Any:
        return self._outcome(name, {"head": (np.array([int(name)]),)})

    def _outcome(self, event: str, usual: Any) -> Any:
        assert not self.is_killed
        return self.cluster.script.get((self.generation, self.rank, event), usual)


@dataclass
class FakeCluster:
    """Stands for Ray. `script`: what comes of (generation, rank, event) where it is not the usual."""

    size: int
    script: dict[Event, Any]
    ranks: list[FakeRank] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)
    rebuilds: list[str] = field(default_factory=list)

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        self.rebuilds.append(f"from {self.num_generations}")
        yield
        self.rebuilds.append(f"to {self.num_generations}")

    group: None = None
    num_generations_with_room: int = 1000

    @property
    def has_room(self) -> bool:
        """As of the place of the ranks."""
        return self.num_generations < self.num_generations_with_room

    @property
    def num_generations(self) -> int:
        return len(self.ranks) // self.size

    def start_actor(self, actor_class: type, rank: int, *args: object, **options: object) -> FakeRank:
        generation = len(self.ranks) // self.size
        assert all(r.is_killed for r in self.ranks if r.generation < generation)
        self.ranks.append(FakeRank(self, generation, rank))
        return self.ranks[-1]

    def wait(self, refs: list[Ref], *, num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        """The first that answers, in the order of the ranks."""
        ready = [ref for ref in refs if ref.outcome is not SILENT][:num_returns]
        return ready, [ref for ref in refs if ref not in ready]

    def get_result(self, refs: Any, *, timeout_s: float | None = None) -> Any:
        if isinstance(refs, list):
            return [self.get_result(ref) for ref in refs]
        if refs.outcome is SILENT:
            raise GetTimeoutError
        if isinstance(refs.outcome, Exception):
            raise refs.outcome
        return refs.outcome

    def kill(self, rank: FakeRank) -> None:
        rank.is_killed = True
