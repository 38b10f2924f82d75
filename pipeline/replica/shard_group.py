"""The ranks of one replica: start them in a placement group, send batches, rebuild all when one fails."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.errors import JobError
from pipeline.heads.resolve import Head
from pipeline.ray_actors import get_result, start_actor
from pipeline.replica.layout import RankResources
from pipeline.replica.placement import Place, rank_environment
from pipeline.replica.rank import START_TIMEOUT_S, OutOfMemory, Rank
from pipeline.replica.rank_settings import RankSettings
from pipeline.replica.recovery import BatchTooLargeError, RanksLostError
from pipeline.storage.printable import number_of

# Of the check whether ranks are in step, which may wait for a batch.
PROBE_TIMEOUT_S = 120.0
MAX_STARTS = 4
# If one rank runs out of memory, the others do so too, or wait for it.
OUT_OF_MEMORY_GRACE_S = 30.0
# A rank that loses a peer raises an error, often before the leader knows of the peer's death.
DEATH_NOTICE_S = 10.0
# How often a wait for ranks looks whether their node is still there.
LOOK_INTERVAL_S = 5.0
# Times the number of failed starts. A lost node is known to be lost only after a while.
RESTART_PAUSE_S = 5.0
# Devices that compute asynchronously. On a CPU the main thread computes, as its heap returns freed memory.
ASYNCHRONOUS_DEVICES = ("cuda",)
# Concurrency group of a rank for the thread that waits for results while another one launches the next batch.
COLLECTING = "collecting"


class ShardGroupError(JobError):
    """The ranks of a replica cannot be started."""


class PlacementLostError(JobError):
    """The ranks of a replica have lost their node, and there is no room for them on another one at the moment."""


@dataclass(frozen=True)
class Ticket:
    """A batch in flight: object refs of all ranks, rank 0's results first, and the generation of the ranks."""

    generation: int
    refs: list[Any]


class Replica:
    """The ranks of one shard group, as seen by their leader.

    All ranks get the same batches in the same order. If a rank dies, fails, or takes more than `batch_timeout_s`
    for a batch, all are killed and restarted in the same placement group; batches in flight are lost. If the group
    is on no node at that time, PlacementLostError is raised, and this object is of no more use.
    """

    rank_class: ClassVar[type[Rank]] = Rank

    def __init__(
        self,
        heads: Sequence[Head],
        settings: RankSettings,
        resources: RankResources,
        size: int,
        place: Place,
        *,
        batch_timeout_s: float,
        rebuilding: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Start the ranks in `placement`; `rebuilding` is entered while they are started again."""
        self._heads = list(heads)
        self._settings = settings
        self._resources = resources
        self._size = size
        self._place = place
        self._batch_timeout_s = batch_timeout_s
        self._rebuilding = rebuilding
        self._is_asynchronous = settings.device in ASYNCHRONOUS_DEVICES
        self._generation = 0
        self._ranks: list[ActorHandle[Any]] = []
        self._build()

    def send(self, batch: RankBatch) -> Ticket:
        """Queue a batch on all ranks."""
        argument = ray.put(batch) if self._size > 1 else batch
        if not self._is_asynchronous:
            return Ticket(self._generation, [rank.run.remote(argument) for rank in self._ranks])
        launched = [rank.launch.remote(argument) for rank in self._ranks]
        collecting = [rank.collect.options(concurrency_group=COLLECTING).remote() for rank in self._ranks]
        return Ticket(self._generation, collecting + launched)

    def is_current(self, ticket: Ticket) -> bool:
        """Whether the ranks have not been rebuilt since the batch was sent."""
        return ticket.generation == self._generation

    def receive(self, ticket: Ticket) -> BatchOutput:
        """Wait for all ranks, and return rank 0's results.

        Raises:
            RanksLostError: a rank has died, stalled or failed; the group has been rebuilt.
            BatchTooLargeError: the batch does not fit in the memory of a rank.
            ShardGroupError: the group cannot be rebuilt.
            PlacementLostError: there is no node to rebuild it on.
        """
        try:
            answers = _get_all(ticket.refs, self._batch_timeout_s)
        except RayError as error:
            self._rebuild()
            raise RanksLostError(kind_of(error)) from None
        if any(isinstance(each, OutOfMemory) for each in answers):
            self._require_step()
            raise BatchTooLargeError("a batch does not fit in the memory of a rank")
        results: BatchOutput = answers[0]
        return results

    def _require_step(self) -> None:
        """Rebuild the group if one rank waits for another that has left the batch."""
        if self._size == 1:
            return
        try:
            in_step = get_result([rank.is_in_step.remote() for rank in self._ranks], timeout_s=PROBE_TIMEOUT_S)
        except RayError:
            in_step = [False]
        if not all(in_step):
            self._rebuild()

    def _start(self) -> None:
        # One by one, so that all that were started are killed if the next one fails.
        self._ranks = []
        for rank in range(self._size):
            self._ranks.append(self._start_rank(rank))
        address: tuple[str, int] | None = None
        if self._size > 1:
            [address] = _get_all([self._ranks[0].serve_rendezvous.remote()], START_TIMEOUT_S, self._require_place)
        loading = [rank.load.remote(self._heads, address) for rank in self._ranks]
        _get_all(loading, START_TIMEOUT_S, self._require_place)

    def _start_rank(self, rank: int) -> ActorHandle[Any]:
        return start_actor(
            self.rank_class,
            rank,
            self._size,
            self._settings,
            concurrency_groups={COLLECTING: 1} if self._is_asynchronous else {},
            num_cpus=self._resources.num_cpus,
            num_gpus=self._resources.num_gpus,
            runtime_env=rank_environment(self._settings.device),
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                self._place.group, placement_group_bundle_index=rank
            ),
        )

    def _rebuild(self) -> None:
        with self._rebuilding():
            self._build()

    def _build(self) -> None:
        """Kill the remaining ranks and start the group, up to `MAX_STARTS` times."""
        self._generation += 1
        for num_tries in range(1, 1 + MAX_STARTS):
            self._kill_ranks()
            try:
                self._require_place()
                self._start()
            except RayTaskError as error:
                # An error while loading would be raised again.
                raise ShardGroupError(f"a rank cannot load the model: {error.cause}") from None
            except RayError as error:
                if num_tries == MAX_STARTS:
                    raise ShardGroupError(
                        f"a shard group of {number_of(self._size, 'rank')} was started {MAX_STARTS} times and "
                        f"failed again ({kind_of(error)}); look into the logs of its ranks, and at the memory of "
                        "their node"
                    ) from None
                time.sleep(num_tries * RESTART_PAUSE_S)
            except PlacementLostError:
                self._kill_ranks()
                raise
            else:
                return

    def _kill_ranks(self) -> None:
        for rank in self._ranks:
            ray.kill(rank)

    def _require_place(self) -> None:
        """Raise PlacementLostError if the placement group is on no living node."""
        if not self._place.has_room:
            raise PlacementLostError("a shard group has lost its node, and there is no room for it on another one")

    def peak_memory(self) -> list[int]:
        """Peak memory of each rank in bytes since it was loaded; empty if a rank has died."""
        peaks: list[int] = []
        with suppress(RayError):
            peaks = get_result(
                [rank.peak_memory.remote() for rank in self._ranks], timeout_s=self._batch_timeout_s
            )
        return peaks


def kind_of(error: RayError) -> str:
    """The type name of an error, or of its cause."""
    cause = getattr(error, "cause", None)
    return type(error if cause is None else cause).__name__


def _get_all(refs: list[Any], timeout_s: float, look: Callable[[], None] = lambda: None) -> list[Any]:
    """The results of all `refs`. Once one rank is out of memory, the others get a short timeout.

    `look` is called now and then, and may raise an error of its own.

    Raises:
        RayActorError: a rank has died.
        GetTimeoutError: a rank has not answered in time.
        RayTaskError: a rank has raised an error, though all are alive.
    """
    answers: dict[Any, Any] = {}
    pending = list(refs)
    while pending:
        done, pending = _wait_for_one(pending, timeout_s, look)
        if not done:
            raise GetTimeoutError(f"no answer from a rank within {timeout_s:.0f} s")
        try:
            answers[done[0]] = get_result(done[0])
        except RayTaskError:
            _raise_death(pending)
            raise
        if isinstance(answers[done[0]], OutOfMemory):
            timeout_s = min(timeout_s, OUT_OF_MEMORY_GRACE_S)
    return [answers[ref] for ref in refs]


def _wait_for_one(refs: list[Any], timeout_s: float, look: Callable[[], None]) -> tuple[list[Any], list[Any]]:
    """As `ray.wait` for one of `refs`, but `look` is called now and then."""
    while True:
        seconds = min(LOOK_INTERVAL_S, timeout_s)
        done, pending = ray.wait(refs, num_returns=1, timeout=seconds)
        timeout_s -= seconds
        if done or timeout_s <= 0:
            return done, pending
        look()


def _raise_death(refs: list[Any]) -> None:
    """Raise RayActorError if one of the ranks behind `refs` turns out to have died."""
    pending = list(refs)
    deadline = time.monotonic() + DEATH_NOTICE_S
    while pending:
        done, pending = ray.wait(pending, num_returns=1, timeout=max(0.0, deadline - time.monotonic()))
        if not done:
            return
        with suppress(RayTaskError):
            get_result(done[0])
