"""A real S3 server on this machine, in a process of its own: `moto_server`."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pyarrow import fs

from tests.unit.pipeline.input_files import tree

KEY, SECRET = "AKIATESTKEY", "se/cret+te5tval"
START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class S3Server:
    """Where the server listens."""

    port: int

    def uri(self, path: str, port: int | None = None, *, with_credentials: bool = True) -> str:
        """The URI of `path`, which begins with the bucket, there or through a proxy on another port."""
        user = f"{KEY}:{quote(SECRET, safe='')}@" if with_credentials else ""
        options = f"region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{port or self.port}"
        return f"s3://{user}{path}?{options}&allow_bucket_creation=true"

    def filesystem(self) -> fs.FileSystem:
        """To look at what is there."""
        return fs.FileSystem.from_uri(self.uri("any-bucket"))[0]

    def make_bucket(self, name: str) -> str:
        """A new bucket."""
        self.filesystem().create_dir(name)
        return name

    def upload(self, folder: Path, path: str) -> None:
        """Copy a local folder, files and all."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                with self.filesystem().open_output_stream(f"{path}/{file.relative_to(folder)}") as stream:
                    stream.write(file.read_bytes())

    def paths(self, path: str) -> list[str]:
        """Of all objects below `path`, relative to it."""
        selector = fs.FileSelector(path, recursive=True, allow_not_found=True)
        infos = self.filesystem().get_file_info(selector)
        return [info.path.removeprefix(f"{path}/") for info in infos if info.is_file]

    def files(self, path: str) -> dict[str, bytes]:
        """Content of each object by its path below `path`."""
        filesystem = self.filesystem()
        found = {}
        for name in self.paths(path):
            with filesystem.open_input_stream(f"{path}/{name}", compression=None) as stream:
                found[name] = stream.read()
        return found


def files(root: Path) -> dict[str, bytes | None]:
    """Content of each file by its path below a local folder, as `S3Server.files`."""
    return {path: data for path, data in tree(root).items() if data is not None}


def unmarked(output: dict[str, Any]) -> dict[str, Any]:
    """Without what tells an upload from a file of the same content (ETag, time), and without calls."""
    of_content = {path: data for path, data in output.items() if not path.startswith("_manifest/runs/")}
    return {path: _unmarked(data) if _is_record(path) else data for path, data in of_content.items()}


def _is_record(path: str) -> bool:
    return path.startswith("_manifest") and path.endswith(".json")


def _unmarked(data: bytes) -> dict[str, Any]:
    return {key: value for key, value in json.loads(data).items() if key != "input_mark"}


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """The server, for the time of the block."""
    if find_spec("moto") is None:
        pytest.skip("moto is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(port):
            assert process.poll() is None, "moto has ended"
            assert time.monotonic() < deadline, "moto does not answer"
            time.sleep(0.1)
        yield S3Server(port)
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5):
            return True
    except OSError:
        return False
