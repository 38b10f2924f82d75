from typing import Any

import pytest
import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.driver.ray_connection import connect, ray_cluster
from pipeline.errors import ConfigError, InputError, JobError


@pytest.mark.parametrize(
    ("nodes", "cores"),
    [([{"CPU": 8}, {"CPU": 4}], 3), ([{}, {"CPU": 16}], 15), ([{"CPU": 0}, {"CPU": 1}], 1), ([{"GPU": 1}], 1)],
)
def test_the_cores_of_a_joined_cluster_are_those_of_its_smallest_worker(
    nodes: list[dict[str, float]], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = []
    monkeypatch.setattr(ray, "init", lambda **options: joined.append(options["address"]))
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    assert connect("10.0.0.1:6379") == cores
    assert joined == ["10.0.0.1:6379"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.50.0"),
        PermissionError(13, "Permission denied", "/home/.ray"),
        ConnectionError("ray client connection timeout"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("address", ["local", "10.0.0.1:6379"])
def test_whatever_keeps_ray_from_starting_is_one_line_with_the_remedy(
    address: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**options: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ConfigError) as refused, ray_cluster(address):
        pass
    message = str(refused.value)
    assert message.startswith(f"--address {address}: found that Ray does not start ({type(error).__name__}: ")
    assert "\n" not in message
    assert "; expected a " in message


class UnseenError(RayError):
    pass


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnseenError("gone"), "a process that the run depends on was lost; finished parts are kept"),
        (RayTaskError("f", "stack", InputError("column 'x' is missing")), "column 'x' is missing"),
        (RayTaskError("f", "stack", KeyError("x")), "an unexpected error, see its traceback above"),
    ],
)
def test_what_ends_a_run_says_how_to_go_on(
    error: RayError, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "nodes", list)
    with pytest.raises(JobError) as ended, ray_cluster("10.0.0.1:6379"):
        raise error
    assert str(ended.value).startswith(message)
    assert ("stack" in capsys.readouterr().err) == ("unexpected" in message)
