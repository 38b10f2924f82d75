import threading

from pipeline.monitoring.repeated import repeated


def test_an_action_is_repeated_whatever_it_raises_until_the_block_ends() -> None:
    done = threading.Semaphore(0)

    def fail() -> None:
        done.release()
        raise ValueError("not now")

    with repeated(fail, 0.01, "test"):
        assert all(done.acquire(timeout=10) for _ in range(3))
    assert "test" not in {thread.name for thread in threading.enumerate()}


def test_a_short_block_sees_none_of_it() -> None:
    with repeated(lambda: 1 / 0, 60, "test"):
        pass
