"""Measure the trunk under tensor parallelism, with one process per rank that waits for commands."""

import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist

from jobs.benchmark.flops import trunk_flops
from jobs.benchmark.timing import Case
from jobs.benchmark.trunks import build_models, first_batch, trunk_cases
from model import ShardGroup, XLMRobertaXLConfig


@contextmanager
def rank_cases(
    num_ranks: int,
    config: XLMRobertaXLConfig,
    lengths: dict[str, list[int]],
    *,
    token_budget: int,
    dtype: torch.dtype,
    device: str,
    num_threads: int,
) -> Iterator[list[Case]]:
    """A case per scenario, which runs its batch on all ranks of a new group; the ranks end with the context.

    Args:
        lengths: by scenario, sequences in the order of arrival.
        num_threads: threads of all ranks together.
    """
    with _running(
        num_ranks, (config.to_dict(), lengths, token_budget, dtype, device, max(1, num_threads // num_ranks))
    ) as pipes:
        yield [
            Case(
                f"{scenario}: trunk, {num_ranks} ranks",
                partial(_run, pipes, scenario),
                sum(drawn),
                trunk_flops(config, drawn),
                "trunk",
                f"{scenario}: trunk",
            )
            for scenario, drawn in lengths.items()
        ]


@contextmanager
def _running(num_ranks: int, settings: tuple[object, ...]) -> Iterator[list[Connection]]:
    """Start the ranks and wait for their models; yields the pipes to them."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as directory:
        pipes, processes = [], []
        for rank in range(num_ranks):
            mine, theirs = context.Pipe()
            arguments = (rank, num_ranks, Path(directory) / "rendezvous", theirs, *settings)
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            pipes.append(mine)
            processes.append(process)
        try:
            for pipe in pipes:
                pipe.recv()  # wait until the model is built
            yield pipes
        finally:
            for pipe in pipes:
                pipe.close()
            for process in processes:
                process.join(timeout=10)
                if process.is_alive():
                    process.kill()


def _run(pipes: list[Connection], scenario: str) -> None:
    """Run a scenario on all ranks, and wait for them."""
    for pipe in pipes:
        pipe.send(scenario)
    for pipe in pipes:
        pipe.recv()


def _serve(
    rank: int,
    num_ranks: int,
    rendezvous: Path,
    pipe: Connection,
    config_values: dict[str, object],
    lengths: dict[str, list[int]],
    token_budget: int,
    dtype: torch.dtype,
    device: str,
    num_threads: int,
) -> None:
    """The main function of a rank: run the scenarios named on the pipe until it is closed."""
    torch.set_num_threads(num_threads)
    if device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{rendezvous}", rank=rank, world_size=num_ranks)
    config = XLMRobertaXLConfig.from_dict(config_values)
    group = ShardGroup(rank, num_ranks, dist.group.WORLD)
    models = build_models(config, dtype, device, with_plain=False, group=group)
    runs = {
        scenario: trunk_cases(scenario, models, first_batch(drawn, token_budget, config, device))[0].run
        for scenario, drawn in lengths.items()
    }
    pipe.send("ready")
    try:
        while True:
            runs[pipe.recv()]()
            if device == "cuda":
                torch.cuda.synchronize()
            pipe.send("done")
    except EOFError:
        dist.destroy_process_group()
