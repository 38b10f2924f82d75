"""The task that looks at a GPU's memory, on a cluster that says it has one."""

import pytest
import ray

from pipeline.errors import NoRoomError
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.replica.room import RoomWait
from pipeline.replica.token_budget import free_bytes_on_cluster


def waiting(timeout_s: float) -> RoomWait:
    return RoomWait(timeout_s, Phases(lambda line: None), Messages())


def test_memory_is_asked_for_where_the_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpus_of_this_process() -> int:
        return len(ray.get_gpu_ids())

    monkeypatch.setattr("pipeline.replica.token_budget.free_bytes_here", gpus_of_this_process)
    assert free_bytes_on_cluster(waiting(60)) == 1
    assert len(ray.get_gpu_ids()) == 0


def test_a_gpu_that_does_not_come_free_is_told() -> None:
    @ray.remote(num_gpus=1)
    class Holder:
        def is_there(self) -> bool:
            return True

    holder = Holder.remote()
    assert ray.get(holder.is_there.remote())
    said = (
        r"^model\.placement_timeout_s: found no room for a GPU, to look at its memory within 1 s "
        r"\(free \{CPU: [\d.]+, GPU: 0\}; held by this run: \{.*GPU: 1\}.*\), expected"
    )
    with pytest.raises(NoRoomError, match=said):
        free_bytes_on_cluster(waiting(1.0))
    ray.kill(holder)
