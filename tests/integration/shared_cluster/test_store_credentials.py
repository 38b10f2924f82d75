"""Credentials that the driver alone has, for a store that refuses whoever has none."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faulty_proxy import FaultyProxy, faulty_proxy
from tests.integration.object_store import KEY, SECRET, S3Server, s3_server
from tests.integration.runs import parts
from tests.integration.shared_cluster.conftest import Annotated, Workbench

BUCKET = "corpus"


@pytest.fixture(scope="module")
def store(workbench: Workbench) -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket(BUCKET)
        server.upload(workbench.corpus.inputs, f"{BUCKET}/in")
        yield server


@pytest.fixture
def proxy(store: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    # The cluster was started without any of these.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with faulty_proxy(store.port, key=KEY) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def test_workers_have_the_variables_of_the_driver_and_no_log_has(
    workbench: Workbench,
    store: S3Server,
    proxy: FaultyProxy,
    one_rank: Annotated,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    uris = {"input": {"path": f"s3://{BUCKET}/in"}, "output": {"path": f"s3://{BUCKET}/out"}}
    run = workbench.run("credentials", **uris)
    assert run.finished.code == 0, run.finished
    found = {path: data for path, data in store.files(f"{BUCKET}/out").items() if path.endswith(".parquet")}
    assert found == parts(one_rank.output)
    records = f"/{BUCKET}/out/_manifest/parts/"
    of_records = [request.partition(" ")[0] for request in proxy.requests if records in request]
    assert of_records == ["PUT"] * len(found), "what the workers have told is not read"
    assert SECRET not in str(run.finished)
    assert "asks for no token" not in run.finished.stderr
    logs = [path for path in workbench.cluster.session_folder().rglob("*") if path.is_file()]
    assert len(logs) > 10
    assert [path.name for path in logs if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.usefixtures("proxy")
def test_a_node_without_access_ends_the_run_and_is_named(
    workbench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file of the driver's machine, which other nodes are not taken to have.
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    run = workbench.run("no-access", input={"path": f"s3://{BUCKET}/in", "max_fragment_rows": 1})
    assert run.finished.code == 1, run.finished
    message = run.finished.stderr
    assert "failed: 10 fragments in a row failed with AWS Error ACCESS_DENIED, the last one: " in message
    assert f"on the node {socket.gethostname()} the environment has none of AWS_ACCESS_KEY_ID, " in message
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the command" in message
    assert "take it out of the input" not in message
