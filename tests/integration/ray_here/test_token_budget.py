"""The task that looks at a GPU's memory, on a cluster that says it has one."""

import pytest
import ray

from pipeline.errors import ConfigError
from pipeline.replica.token_budget import free_bytes_on_cluster


def test_memory_is_asked_for_where_the_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpus_of_this_process() -> int:
        return len(ray.get_gpu_ids())

    monkeypatch.setattr("pipeline.replica.token_budget.free_bytes_here", gpus_of_this_process)
    assert free_bytes_on_cluster() == 1
    assert len(ray.get_gpu_ids()) == 0


def test_a_gpu_that_does_not_come_free_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.replica.token_budget._PROBE_TIMEOUT_S", 1.0)

    @ray.remote(num_gpus=1)
    class Holder:
        def is_there(self) -> bool:
            return True

    holder = Holder.remote()
    assert ray.get(holder.is_there.remote())
    with pytest.raises(ConfigError, match=r"^model\.token_budget: found no free GPU for 1 s, expected"):
        free_bytes_on_cluster()
    ray.kill(holder)
