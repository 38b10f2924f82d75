"""The ranks of one replica: actors in a placement group, their rendezvous, their failure and rebuilding."""

import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import ray
import torch
import torch.distributed as dist
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from model import ShardGroup
from pipeline.actors import answer, start_actor
from pipeline.errors import PipelineError
from pipeline.heads import Head
from pipeline.memory import peak_memory, reset_peak_memory
from pipeline.placement import RankResources
from pipeline.requests import ShardBatch
from pipeline.shard import Results, Shard, ShardSettings

START_TIMEOUT_S = 1800.0
BATCH_TIMEOUT_S = 1800.0
NUM_BATCHES_IN_FLIGHT = 2
MAX_REBUILDS = 3
# A rank that loses a peer raises an error of its own, often before the peer's death is known to the leader.
DEATH_NOTICE_S = 10.0


class ShardGroupError(PipelineError):
    """The ranks of a replica failed again and again."""


class Rank:
    """One rank of a shard group: a process of its own, with a device of its own where there are GPUs."""

    def __init__(self, rank: int, size: int, settings: ShardSettings) -> None:
        torch.set_num_threads(settings.num_threads)
        self._rank, self._size = rank, size
        self._settings = settings
        self._store: dist.TCPStore | None = None
        self._shard: Shard | None = None

    def serve_rendezvous(self) -> tuple[str, int]:
        """Rank 0 opens the store where the others meet, on a free port; returns its address."""
        host = ray.util.get_node_ip_address()
        self._store = dist.TCPStore(host, 0, self._size, is_master=True, wait_for_workers=False)
        return host, self._store.port

    def load(self, heads: Sequence[Head], address: tuple[str, int] | None) -> dict[str, list[str]]:
        """Join the group and read this rank's slices; returns the stored tensors that nothing has used."""
        self._shard = Shard(heads, self._settings, self._join(address))
        reset_peak_memory(self._settings.device)
        return self._shard.unused

    def _join(self, address: tuple[str, int] | None) -> ShardGroup:
        if address is None:
            return ShardGroup()
        timeout = timedelta(seconds=BATCH_TIMEOUT_S)
        store = self._store or dist.TCPStore(*address, self._size, is_master=False, timeout=timeout)
        if self._settings.device == "cpu":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", _interface_of(address[0]))
        dist.init_process_group(
            "nccl" if self._settings.device == "cuda" else "gloo",
            store=store,
            rank=self._rank,
            world_size=self._size,
            timeout=timeout,
        )
        return ShardGroup(self._rank, self._size, dist.group.WORLD)

    def run(self, batch: ShardBatch) -> Results | None:
        """Compute a batch with the other ranks; rank 0 returns what came out."""
        assert self._shard is not None
        results = self._shard.run(batch)
        return results if self._rank == 0 else None

    def peak_memory(self) -> int:
        """Most bytes that this rank has held since it was loaded, the process itself included."""
        return peak_memory(self._settings.device)


def _interface_of(address: str) -> str:
    """The network interface with this address, so that gloo does not advertise the loopback one."""
    import fcntl  # noqa: PLC0415  # not there on every platform that imports this file
    import struct  # noqa: PLC0415

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):
                found = fcntl.ioctl(probe.fileno(), 0x8915, request)[20:24]  # SIOCGIFADDR
                if socket.inet_ntoa(found) == address:
                    return name
    return "lo"


class Replica:
    """The ranks of one shard group, as their leader sees them.

    Batches are sent to all ranks, in the same order. If a rank dies or stalls, all are killed, the group is
    built anew in its placement group, and the batches that were not answered are sent again.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        settings: ShardSettings,
        resources: RankResources,
        size: int,
        placement: PlacementGroup,
    ) -> None:
        self._heads = list(heads)
        self._settings = settings
        self._resources = resources
        self._size = size
        self._placement = placement
        self._ranks: list[ActorHandle[Any]] = []
        try:
            self._start()
        except (RayActorError, GetTimeoutError) as error:
            self._rebuild(0, error)

    def run(self, batches: Iterable[ShardBatch]) -> Iterator[Results]:
        """Results of each batch, in order; a few batches are under way at once.

        Raises:
            ShardGroupError: the group had to be rebuilt more than `MAX_REBUILDS` times.
        """
        waiting = iter(batches)
        in_flight: list[tuple[ShardBatch, list[Any]]] = []
        num_rebuilds = 0
        while True:
            while len(in_flight) < NUM_BATCHES_IN_FLIGHT and (batch := next(waiting, None)) is not None:
                in_flight.append((batch, self._send(batch)))
            if not in_flight:
                return
            try:
                results = self._receive(in_flight[0][1])
            except (RayActorError, GetTimeoutError) as error:
                num_rebuilds = self._rebuild(num_rebuilds, error)
                in_flight = [(batch, self._send(batch)) for batch, _ in in_flight]
                continue
            in_flight.pop(0)
            yield results

    def _send(self, batch: ShardBatch) -> list[Any]:
        argument = ray.put(batch) if self._size > 1 else batch
        return [rank.run.remote(argument) for rank in self._ranks]

    def _receive(self, refs: list[Any]) -> Results:
        """Rank 0's results. All ranks are waited for, so that the first to fail is seen at once."""
        _get_all(refs, BATCH_TIMEOUT_S)
        results: Results = answer(refs[0])
        return results

    def _start(self) -> None:
        self._ranks = [self._start_rank(rank) for rank in range(self._size)]
        address: tuple[str, int] | None = None
        if self._size > 1:
            address = answer(self._ranks[0].serve_rendezvous.remote(), timeout_s=START_TIMEOUT_S)
        _get_all([rank.load.remote(self._heads, address) for rank in self._ranks], START_TIMEOUT_S)

    def _start_rank(self, rank: int) -> ActorHandle[Any]:
        return start_actor(
            Rank,
            rank,
            self._size,
            self._settings,
            num_cpus=self._resources.num_cpus,
            num_gpus=self._resources.num_gpus,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                self._placement, placement_group_bundle_index=rank
            ),
        )

    def _rebuild(self, num_rebuilds: int, error: Exception) -> int:
        """Kill what is left of the group and start it anew, until it stands; returns how often it was tried."""
        while num_rebuilds < MAX_REBUILDS:
            num_rebuilds += 1
            for rank in self._ranks:
                ray.kill(rank)
            try:
                self._start()
            except (RayActorError, GetTimeoutError) as next_error:
                error = next_error
            else:
                return num_rebuilds
        raise ShardGroupError(
            f"a shard group of {self._size} ranks was rebuilt {MAX_REBUILDS} times and failed again: {error}"
        ) from error

    def peak_memory(self) -> list[int]:
        """Most bytes that each rank has held since it was loaded; nothing if a rank has died meanwhile."""
        peaks: list[int] = []
        with suppress(RayActorError, GetTimeoutError):
            peaks = answer([rank.peak_memory.remote() for rank in self._ranks], timeout_s=BATCH_TIMEOUT_S)
        return peaks


def _get_all(refs: list[Any], timeout_s: float) -> None:
    """Wait for all of `refs`.

    Raises:
        RayActorError: a rank has died.
        GetTimeoutError: a rank has not answered in time.
        RayTaskError: a rank has raised an error, though all are alive.
    """
    pending = list(refs)
    while pending:
        done, pending = ray.wait(pending, num_returns=1, timeout=timeout_s)
        if not done:
            raise GetTimeoutError(f"no answer from a rank within {timeout_s:.0f} s")
        try:
            answer(done[0])
        except RayTaskError:
            _raise_death(pending)
            raise


def _raise_death(refs: list[Any]) -> None:
    """Raise RayActorError if one of the ranks that are to answer `refs` turns out to have died."""
    pending = list(refs)
    deadline = time.monotonic() + DEATH_NOTICE_S
    while pending:
        done, pending = ray.wait(pending, num_returns=1, timeout=max(0.0, deadline - time.monotonic()))
        if not done:
            return
        with suppress(RayTaskError):
            answer(done[0])
