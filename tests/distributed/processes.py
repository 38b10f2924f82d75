"""Runs a function on real gloo ranks, one process each, and raises what any of them raised.

The processes are forked from a clean server that has imported torch, the model and the pipeline once: a group of
four starts in well under a second, and no thread of the test's own process is inherited.
"""

import multiprocessing
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from model import ShardGroup

_CONTEXT = multiprocessing.get_context("forkserver")
# torch.testing compares with the help of torch.distributed.tensor, which takes most of a second to import.
_CONTEXT.set_forkserver_preload(
    ["torch.distributed.tensor", "pytest", "tests.oracle", "tests.pipeline_in_process"]
)


class RankError(AssertionError):
    """A rank raised, died or hung; the message holds its traceback."""


def run_on_ranks(
    num_ranks: int, function: Callable[..., Any], *args: Any, timeout_s: float = 90.0, backend: str = "gloo"
) -> list[Any]:
    """Call `function(group, *args)` on every rank of a new shard group.

    Args:
        function: importable by name, as are its arguments' types; what it returns must be picklable.
        timeout_s: for all ranks together; those still running then are ended.

    Returns:
        what each rank returned, by rank.

    Raises:
        RankError: with the traceback of the first rank that failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "rendezvous"
        pipes = [_CONTEXT.Pipe(duplex=False) for _ in range(num_ranks)]
        processes = [
            _CONTEXT.Process(
                target=_run_rank,
                args=(rank, num_ranks, f"file://{store}", backend, timeout_s, sender, function, args),
            )
            for rank, (_, sender) in enumerate(pipes)
        ]
        for process, (_, sender) in zip(processes, pipes, strict=True):
            process.start()
            sender.close()
        try:
            return _collect([receiver for receiver, _ in pipes], timeout_s)
        finally:
            for process in processes:
                process.join(timeout=2)
                if process.is_alive():
                    process.kill()
                    process.join()


def _collect(receivers: list[Connection], timeout_s: float) -> list[Any]:
    """The ranks' results in order; raises as soon as one of them fails."""
    deadline = time.monotonic() + timeout_s
    results: dict[int, Any] = {}
    while len(results) < len(receivers):
        waiting = [r for rank, r in enumerate(receivers) if rank not in results]
        ready = wait(waiting, timeout=max(0.0, deadline - time.monotonic()))
        if not ready:
            missing = [rank for rank in range(len(receivers)) if rank not in results]
            raise RankError(f"ranks {missing} of {len(receivers)} did not finish in {timeout_s} s")
        failures: list[tuple[float, str]] = []
        for receiver in ready:
            rank = receivers.index(receiver)  # type: ignore[arg-type]  # wait() also takes sockets
            try:
                is_ok, sent_at, value = pickle.loads(receivers[rank].recv_bytes())
            except EOFError as error:
                raise RankError(f"rank {rank} of {len(receivers)} died without a word") from error
            results[rank] = value
            if not is_ok:
                failures.append((sent_at, f"rank {rank} of {len(receivers)} failed:\n{value}"))
        if failures:
            # The first to fail is the cause; the others lost their connection to it.
            raise RankError(min(failures)[1])
    return [results[rank] for rank in range(len(receivers))]


def _run_rank(
    rank: int,
    num_ranks: int,
    init_method: str,
    backend: str,
    timeout_s: float,
    sender: Connection,
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    torch.set_num_threads(1)
    try:
        if backend == "nccl":
            torch.cuda.set_device(rank)
        dist.init_process_group(
            backend, init_method=init_method, rank=rank, world_size=num_ranks, timeout=timedelta(seconds=timeout_s)
        )
        result = function(ShardGroup(rank, num_ranks, dist.group.WORLD), *args)
        # Nobody leaves while another may still wait for it.
        dist.barrier()
        # As plain bytes: a tensor that is sent as it is has to be fetched while its sender lives.
        sender.send_bytes(pickle.dumps((True, time.monotonic(), result)))
    except Exception:
        sender.send_bytes(pickle.dumps((False, time.monotonic(), traceback.format_exc())))
    finally:
        sender.close()
        if dist.is_initialized():
            dist.destroy_process_group()
