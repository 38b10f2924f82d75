"""The retry policy: real errors of disks, sockets and a store, and a clock that no one waits for."""

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from pipeline.storage import retries
from pipeline.storage.retries import RETRY_FOR_S, is_transient, retry_transient


class Clock:
    """Seconds that pass only where someone sleeps, or an action takes them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retries, "time", clock)
    return clock


class Flaky:
    """Fails a number of times, each after some seconds; then returns 5."""

    def __init__(self, clock: Clock, error: Exception, num_failures: int, seconds: float = 0.0) -> None:
        self.clock, self.error, self.seconds = clock, error, seconds
        self.num_failures = num_failures
        self.num_calls = 0

    def __call__(self) -> int:
        self.num_calls += 1
        self.clock.now += self.seconds
        if self.num_calls <= self.num_failures:
            raise self.error
        return 5


@pytest.mark.parametrize("num_failures", [0, 1, 7])
def test_what_goes_well_in_the_end_is_returned(clock: Clock, num_failures: int) -> None:
    action = Flaky(clock, ConnectionResetError(), num_failures)
    assert retry_transient(action) == 5
    assert action.num_calls == num_failures + 1


@pytest.mark.parametrize("seconds", [0.0, 6.0, 40.0, 200.0])
def test_retries_end_after_a_minute_and_a_half_however_long_an_attempt_takes(clock: Clock, seconds: float) -> None:
    action = Flaky(clock, ConnectionResetError(), 10**6, seconds)
    with pytest.raises(ConnectionResetError):
        retry_transient(action)
    last_began = clock.now - seconds
    assert last_began <= RETRY_FOR_S == 90
    assert clock.now > min(RETRY_FOR_S - 16, seconds)
    assert action.num_calls == len(clock.pauses) + 1


def test_delays_double_up_to_a_bound_and_are_cut_at_random(clock: Clock) -> None:
    with pytest.raises(TimeoutError):
        retry_transient(Flaky(clock, TimeoutError(), 10**6))
    for pause, whole in zip(clock.pauses, [0.5, 1, 2, 4, 8, *[16] * 20], strict=False):
        assert whole / 2 <= pause <= whole
    assert 8 < len(clock.pauses) < 16
    before, clock.pauses, clock.now = clock.pauses, [], 0.0
    with pytest.raises(TimeoutError):
        retry_transient(Flaky(clock, TimeoutError(), 10**6))
    assert clock.pauses[:5] != before[:5]


@pytest.mark.parametrize("error", [FileNotFoundError(), OSError("checksum"), ValueError(), pa.ArrowInvalid("x")])
def test_what_lasts_is_raised_at_once(clock: Clock, error: Exception) -> None:
    action = Flaky(clock, error, 1)
    with pytest.raises(type(error)):
        retry_transient(action)
    assert (action.num_calls, clock.pauses) == (1, [])


def test_a_cause_does_not_make_an_error_transient() -> None:
    error = ValueError()
    error.__context__ = error.__cause__ = ConnectionResetError()
    assert not is_transient(error)


def error_of(action: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # any error, which the caller looks at
        action()
    assert isinstance(caught.value, Exception)
    return caught.value


def test_errors_of_a_disk_last(tmp_path: Path) -> None:
    local = fs.LocalFileSystem()

    def fill() -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    for action in (
        lambda: local.open_input_file(str(tmp_path / "none")),
        lambda: local.open_input_file(str(tmp_path)),
        lambda: local.open_output_stream(str(tmp_path / "none/a")),
        lambda: os.listdir(tmp_path / "none"),
        fill,
    ):
        assert not is_transient(error_of(action))


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_errors_of_a_network_mount_pass(number: int) -> None:
    assert is_transient(OSError(number, os.strerror(number)))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_refused_connection_passes() -> None:
    assert is_transient(error_of(lambda: socket.create_connection(("127.0.0.1", closed_port()))))
    assert is_transient(error_of(lambda: s3(closed_port()).get_file_info("bucket/x")))


class Answering(BaseHTTPRequestHandler):
    """Answers every request with the status of the server."""

    def _answer(self) -> None:
        assert isinstance(self.server, Server)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815  # names that the base class looks for

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    status = 200


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def s3(port: int) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key="key",
        secret_key="secret",
        endpoint_override=f"127.0.0.1:{port}",
        scheme="http",
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )


@pytest.mark.parametrize(
    ("status", "passes"),
    [(408, True), (429, True), (500, True), (502, True), (503, True), (504, True), (400, False), (403, False)],
)
def test_the_answers_of_a_store(server: Server, status: int, passes: bool) -> None:
    server.status = status
    store = s3(server.server_port)

    def upload() -> None:
        with store.open_output_stream("bucket/x") as stream:
            stream.write(b"x")

    actions: list[Callable[[], object]] = [
        lambda: store.get_file_info("bucket/x"),
        lambda: store.get_file_info(fs.FileSelector("bucket")),
        lambda: store.open_input_stream("bucket/x"),
        upload,
    ]
    for action in actions:
        error = error_of(action)
        assert is_transient(error) == passes, error
