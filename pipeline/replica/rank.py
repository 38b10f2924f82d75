"""The actor of one rank of a shard group: holds its slice of the weights, computes with the other ranks.

What loads torch is imported where it is used: leaders import this module too, and do not wait for torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, ClassVar

import ray

from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.heads.resolve import Head
from pipeline.replica.rank_settings import RankSettings

if TYPE_CHECKING:
    import torch.distributed as dist

    from pipeline.replica.device_transfer import PendingOutput
    from pipeline.replica.model_runner import ModelRunner

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

    def __init__(self, rank: int, size: int, settings: RankSettings) -> None:
        import torch  # noqa: PLC0415

        torch.set_num_threads(settings.num_threads)
        self._rank, self._size = rank, size
        self._settings = settings
        self._store: dist.TCPStore | None = None
        self._runner: ModelRunner | None = None
        self._pending: SimpleQueue[PendingOutput | OutOfMemory | None] = SimpleQueue()

    def serve_rendezvous(self) -> tuple[str, int]:
        """Rank 0 opens the TCP store for the rendezvous, on a free port; returns its address."""
        from pipeline.replica.rendezvous import open_store  # noqa: PLC0415

        host = ray.util.get_node_ip_address()
        self._store = open_store(host, self._size)
        return host, self._store.port

    def load(self, heads: Sequence[Head], address: tuple[str, int] | None) -> None:
        """Join the group and read this rank's slices."""
        from model.inference.memory import reset_peak_memory  # noqa: PLC0415
        from pipeline.replica.model_runner import ModelRunner  # noqa: PLC0415
        from pipeline.replica.rendezvous import join_group  # noqa: PLC0415

        group = join_group(
            self._rank,
            self._size,
            self._settings.device,
            address,
            self._store,
            start_timeout_s=START_TIMEOUT_S,
            collective_timeout_s=self.collective_timeout_s,
        )
        self._runner = ModelRunner(heads, self._settings, group)
        reset_peak_memory(self._settings.device)

    def run(self, batch: RankBatch) -> BatchOutput | OutOfMemory | None:
        """Compute a batch with the other ranks. Rank 0 returns the results; any rank may return OutOfMemory."""
        return self._host_results(self._launch(batch))

    def launch(self, batch: RankBatch) -> None:
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

    def _launch(self, batch: RankBatch) -> "PendingOutput | OutOfMemory":
        assert self._runner is not None
        try:
            return self._runner.launch(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler, in which the frames of the error still hold tensors.
        if self._settings.device == "cuda":
            import torch  # noqa: PLC0415

            torch.cuda.empty_cache()
        return OutOfMemory(len(batch.input_ids))

    def _host_results(self, pending: "PendingOutput | OutOfMemory | None") -> BatchOutput | OutOfMemory | None:
        if pending is None or isinstance(pending, OutOfMemory):
            return pending
        results = pending.results()
        return results if self._rank == 0 else None

    def is_in_step(self) -> bool:
        """Whether all ranks are at the same collective; one that left a batch early may be ahead."""
        from pipeline.replica.rendezvous import are_in_step  # noqa: PLC0415

        return are_in_step(self._rank, self._size, self._settings.device)

    def peak_memory(self) -> int:
        """Peak memory in bytes since this rank was loaded, including the process itself."""
        from model.inference.memory import peak_memory  # noqa: PLC0415

        return peak_memory(self._settings.device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device or the process has run out of memory."""
    import torch  # noqa: PLC0415

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # For ordinary and for pinned memory of the process.
    return any(words in str(error) for words in ("can't allocate memory", "CUDA error: out of memory"))
