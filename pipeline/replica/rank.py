"""The actor of one rank of a shard group: holds its slice of the weights, computes with the other ranks."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from typing import ClassVar

import ray
import torch
import torch.distributed as dist

from model import ShardGroup
from model.inference.memory import peak_memory, reset_peak_memory
from pipeline.batching.shard_batch import BatchOutput, ShardBatch
from pipeline.heads.resolve import Head
from pipeline.replica.device_transfer import PendingOutput
from pipeline.replica.model_runner import ModelRunner, ShardSettings

START_TIMEOUT_S = 1800.0
# Ranks are in step, so none waits long for the others, unless one has stopped.
COLLECTIVE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class OutOfMemory:
    """Returned instead of results if a batch does not fit in the memory of this rank."""

    num_tokens: int


class Rank:
    """One rank of a shard group: a process with its own GPU, or on the CPU.

    On a CPU, `run` computes a batch. On a GPU, one thread calls `launch` and another one `collect`, so that the
    device gets the next batch while results of the last one are sent.
    """

    collective_timeout_s: ClassVar[float] = COLLECTIVE_TIMEOUT_S

    def __init__(self, rank: int, size: int, settings: ShardSettings) -> None:
        torch.set_num_threads(settings.num_threads)
        self._rank, self._size = rank, size
        self._settings = settings
        self._store: dist.TCPStore | None = None
        self._runner: ModelRunner | None = None
        self._pending: SimpleQueue[PendingOutput | OutOfMemory | None] = SimpleQueue()

    def serve_rendezvous(self) -> tuple[str, int]:
        """Rank 0 opens the TCP store for the rendezvous, on a free port; returns its address."""
        host = ray.util.get_node_ip_address()
        self._store = dist.TCPStore(host, 0, self._size, is_master=True, wait_for_workers=False)
        return host, self._store.port

    def load(self, heads: Sequence[Head], address: tuple[str, int] | None) -> None:
        """Join the group and read this rank's slices."""
        self._runner = ModelRunner(heads, self._settings, self._join(address))
        reset_peak_memory(self._settings.device)

    def _join(self, address: tuple[str, int] | None) -> ShardGroup:
        if address is None:
            return ShardGroup()
        timeout = timedelta(seconds=START_TIMEOUT_S)
        store = self._store or dist.TCPStore(*address, self._size, is_master=False, timeout=timeout)
        # Processes start at different times; from here on they are in step, and short timeouts suffice.
        store.set(f"started/{self._rank}", "")
        store.wait([f"started/{rank}" for rank in range(self._size)], timeout)
        if self._settings.device == "cpu":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", _interface_of(address[0]))
        dist.init_process_group(
            "nccl" if self._settings.device == "cuda" else "gloo",
            store=store,
            rank=self._rank,
            world_size=self._size,
            timeout=timedelta(seconds=self.collective_timeout_s),
        )
        return ShardGroup(self._rank, self._size, dist.group.WORLD)

    def run(self, batch: ShardBatch) -> BatchOutput | OutOfMemory | None:
        """Compute a batch with the other ranks. Rank 0 returns the results; any rank may return OutOfMemory."""
        return self._host_results(self._launch(batch))

    def launch(self, batch: ShardBatch) -> None:
        """Begin to compute a batch with the other ranks; `collect` returns its results, or None after an error."""
        pending: PendingOutput | OutOfMemory | None = None
        try:
            pending = self._launch(batch)
        finally:
            # Also after an error, so that `collect` does not wait forever.
            self._pending.put(pending)

    def collect(self) -> BatchOutput | OutOfMemory | None:
        """Wait for the results of the next launched batch, as returned by `run`."""
        return self._host_results(self._pending.get())

    def _launch(self, batch: ShardBatch) -> PendingOutput | OutOfMemory:
        assert self._runner is not None
        try:
            return self._runner.launch(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler, in which the frames of the error still hold tensors.
        if self._settings.device == "cuda":
            torch.cuda.empty_cache()
        return OutOfMemory(len(batch.input_ids))

    def _host_results(self, pending: PendingOutput | OutOfMemory | None) -> BatchOutput | OutOfMemory | None:
        if not isinstance(pending, PendingOutput):
            return pending
        results = pending.results()
        return results if self._rank == 0 else None

    def is_in_step(self) -> bool:
        """Whether all ranks are at the same collective; one that left a batch early may be ahead."""
        sent = torch.full((1,), float(self._rank + 1), device=self._settings.device)
        dist.all_reduce(sent)
        return sent.item() == self._size * (self._size + 1) / 2

    def peak_memory(self) -> int:
        """Peak memory in bytes since this rank was loaded, including the process itself."""
        return peak_memory(self._settings.device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device or the process has run out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # For ordinary and for pinned memory of the process.
    return any(words in str(error) for words in ("can't allocate memory", "CUDA error: out of memory"))


def _interface_of(address: str) -> str:
    """The network interface with this address, so that gloo does not advertise the loopback interface."""
    import fcntl  # noqa: PLC0415  # not available on every platform that imports this file
    import struct  # noqa: PLC0415

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with suppress(OSError):
                found = fcntl.ioctl(probe.fileno(), 0x8915, request)[20:24]  # SIOCGIFADDR
                if socket.inet_ntoa(found) == address:
                    return name
    return "lo"
