"""The helper itself: results by rank, failures, deaths and hangs come back as errors."""

import os
import time

import pytest
import torch

from model import ShardGroup
from tests.distributed.processes import RankError, run_on_ranks


def _rank_and_sum(group: ShardGroup) -> tuple[int, float]:
    return group.rank, group.all_reduce_(torch.tensor([group.rank + 1.0])).item()


def _fail_on_rank_one(group: ShardGroup) -> None:
    if group.rank == 1:
        raise RuntimeError("this rank is the one")


def _die_on_rank_one(group: ShardGroup) -> None:
    if group.rank == 1:
        os._exit(7)


def _hang_on_rank_one(group: ShardGroup) -> None:
    if group.rank == 1:
        time.sleep(60)


def test_results_come_back_by_rank() -> None:
    assert run_on_ranks(3, _rank_and_sum) == [(0, 6.0), (1, 6.0), (2, 6.0)]


def test_a_failure_is_raised_with_its_traceback() -> None:
    with pytest.raises(RankError, match=r"rank 1 of 2 failed:\n(.|\n)*RuntimeError: this rank is the one"):
        run_on_ranks(2, _fail_on_rank_one)


def test_a_dead_rank_is_noticed() -> None:
    with pytest.raises(RankError, match=r"rank 1 of 2 died|Connection closed by peer|Connection reset"):
        run_on_ranks(2, _die_on_rank_one, timeout_s=30)


def test_a_hanging_rank_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(RankError, match=r"did not finish|imed out|imeout"):
        run_on_ranks(2, _hang_on_rank_one, timeout_s=4)
    assert time.monotonic() - start < 25
