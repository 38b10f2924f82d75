import threading
from contextlib import nullcontext

import pytest

from pipeline.monitoring.repeated import repeated


def test_an_action_is_repeated_whatever_it_raises_until_the_block_ends() -> None:
    done = threading.Semaphore(0)

    def fail() -> None:
        done.release()
        raise ValueError("not now")

    with repeated(fail, 0.01, "test"):
        assert all(done.acquire(timeout=10) for _ in range(3))
    assert "test" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()], ids=["ended", "interrupted"])
def test_a_short_block_sees_it_once_at_its_end(error: BaseException | None) -> None:
    calls: list[str] = []

    def fail() -> None:
        calls.append(threading.current_thread().name)
        raise ValueError("not now")

    with nullcontext() if error is None else pytest.raises(KeyboardInterrupt), repeated(fail, 60, "test"):
        assert calls == []
        if error is not None:
            raise error
    assert calls == [threading.main_thread().name]
