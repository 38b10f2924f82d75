"""File systems that are sent to a process whose environment is another one."""

import base64
import os
import pickle
import subprocess
import sys

import pytest
from pyarrow import fs

from pipeline.storage.sent import CREDENTIALS, SETTINGS, Sent, store_variables
from tests.integration.runs import ROOT

PRINT = """
import base64, os, pickle, sys
value = pickle.loads(base64.b64decode(sys.stdin.read())).value
print(value.type_name, *sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("AWS_")))
"""


def received(sent: Sent[object], **environment: str) -> list[str]:
    """The file system and the variables of a process that gets it."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    result = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=ROOT,
        env=others | environment,
        input=base64.b64encode(pickle.dumps(sent)).decode(),
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CREDENTIALS, *SETTINGS):
        monkeypatch.delenv(name, raising=False)


def test_a_process_gets_what_the_driver_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    found = received(Sent(fs.LocalFileSystem()), AWS_SESSION_TOKEN="of another key", AWS_ROLE_ARN="kept")
    assert found == [
        "local",
        "AWS_ACCESS_KEY_ID=key",
        "AWS_REGION=eu-west-1",
        "AWS_ROLE_ARN=kept",
        "AWS_SECRET_ACCESS_KEY=secret",
    ]


def test_a_driver_without_credentials_leaves_a_node_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    found = received(Sent(fs.LocalFileSystem()), AWS_ACCESS_KEY_ID="own")
    assert found == ["local", "AWS_ACCESS_KEY_ID=own", "AWS_ENDPOINT_URL=http://127.0.0.1:1"]


def test_no_text_of_it_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in f"{Sent(fs.LocalFileSystem())!r}"
    assert store_variables(os.environ) == {"AWS_SECRET_ACCESS_KEY": "secret"}
