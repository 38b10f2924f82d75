"""A TCP proxy before a server that breaks some requests: resets the connection, or answers with an error."""

import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

REQUEST = re.compile(rb"(GET|PUT|POST|HEAD|DELETE) (\S+) HTTP/1\.1\r\n")
FAULTS = ("reset", "reset after", "cut", "500", "503")
"""Broken off before the server sees it; after the server has done it, before or within the answer; answered so."""
ERRORS = {"403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}


class FaultyProxy:
    """`rate` of the requests get one of `faults`, by a seed; none while the rate is 0.

    Requests that are not signed with `key`, where one is given, are answered with 403.
    """

    def __init__(self, server_port: int, rate: float, faults: tuple[str, ...], seed: int, key: str) -> None:
        self.rate = rate
        self._key = key.encode()
        self.on_request: Callable[[int], None] = lambda num_requests: None
        """Called before each request is looked at, with the number of requests so far."""
        self.counts: Counter[str] = Counter()
        """How many requests got which fault, "none" for none."""
        self.requests: list[str] = []
        """Method and target of each."""
        self._server_port = server_port
        self._faults = faults
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        # A thread that waits in accept is woken by a shutdown, not by a close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _choose(self) -> str | None:
        with self._lock:
            fault = self._random.choice(self._faults) if self._random.random() < self.rate else None
            self.counts[fault or "none"] += 1
            return fault

    def _serve(self, client: socket.socket) -> None:
        """Pass requests on, one after another, until one gets a fault or either side has enough."""
        server = socket.create_connection(("127.0.0.1", self._server_port))
        mode: list[str] = [""]
        answers = threading.Thread(target=self._pass_answers, args=[server, client, mode], daemon=True)
        answers.start()
        with client, server, suppress(OSError):
            while data := client.recv(65536):
                request = REQUEST.match(data)
                fault = self._choose() if request else None
                if request and self._key not in data:
                    fault = "403"
                if request:
                    self.requests.append(b" ".join(request.groups()).decode())
                    self.on_request(self.counts.total())
                if fault == "reset":
                    _reset(client)
                    return
                if fault in ERRORS:
                    client.sendall(_error_answer(fault))
                    return
                mode[0] = fault or mode[0]
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            answers.join(10)

    @staticmethod
    def _pass_answers(server: socket.socket, client: socket.socket, mode: list[str]) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if mode[0] == "cut":
                    client.sendall(data[: len(data) // 2])
                if mode[0]:
                    _reset(client)
                    return
                client.sendall(data)


def _reset(connection: socket.socket) -> None:
    """Close so that the other side sees "connection reset by peer"."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def _error_answer(status: str) -> bytes:
    body = f"<Error><Code>{ERRORS[status]}</Code><Message>injected</Message></Error>"
    head = f"HTTP/1.1 {status} Injected\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@contextmanager
def faulty_proxy(
    server_port: int, rate: float = 0.0, faults: tuple[str, ...] = FAULTS, seed: int = 0, key: str = ""
) -> Iterator[FaultyProxy]:
    """A proxy before the server on a port of this machine, for the time of the block."""
    proxy = FaultyProxy(server_port, rate, faults, seed, key)
    try:
        yield proxy
    finally:
        proxy.close()
