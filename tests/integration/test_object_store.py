"""Input and output on a real S3 server, over connections that break: the same bytes as on a disk."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline.errors import InputError, OutputError
from pipeline.fragments import Fragment, PartName
from pipeline.input.reading import FragmentReader
from pipeline.storage.locations import resolve_path
from tests.integration import output_runs
from tests.integration.faulty_proxy import faulty_proxy
from tests.integration.object_store import KEY, SECRET, S3Server, files, s3_server, unmarked
from tests.integration.output_runs import Options, context, run_once
from tests.unit.pipeline.input_files import rows, write


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    for name, num_rows in [("a", 25), ("x/b", 5), ("x/none", 0), ("x/lang=de/c d", 12)]:
        write(tmp_path / "in" / f"{name}.parquet", rows(num_rows))
    return tmp_path / "in"


@pytest.fixture
def bucket(store: S3Server, inputs: Path) -> str:
    """A bucket of its own, with the input in `in`."""
    name = store.make_bucket(inputs.parent.name.replace("_", "-").lower())
    store.upload(inputs, f"{name}/in")
    return name


def versions(store: S3Server, output: str) -> dict[str, set[str]]:
    """By stem, of the parts that are there."""
    found: dict[str, set[str]] = {}
    for path in store.paths(output):
        name = None if path.startswith("_") else PartName.parse(path)
        if name is not None:
            found.setdefault(name.stem, set()).add(name.version)
    return found


def test_the_bytes_are_those_that_a_disk_gets(store: S3Server, bucket: str, inputs: Path, tmp_path: Path) -> None:
    assert run_once(str(inputs), str(tmp_path / "out"))
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/out"))
    assert run_once(store.uri(f"{bucket}/in/**/*.parquet"), str(tmp_path / "mixed"))
    assert unmarked(store.files(f"{bucket}/out")) == unmarked(files(tmp_path / "out"))
    assert store.files(f"{bucket}/out") == files(tmp_path / "mixed")


def test_environment_gives_what_the_uri_does_not(
    store: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert run_once(f"s3://{bucket}/in", f"s3://{bucket}/out")
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/fresh"))
    assert store.files(f"{bucket}/out") == store.files(f"{bucket}/fresh")


def test_a_slice_takes_less_than_four_requests(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices of row groups, each read by one reader, as a read task has one for each row group."""
    readers: dict[tuple[int, ...], FragmentReader] = {}

    def read(fragment: Fragment, schema: pa.Schema, filesystem: fs.FileSystem) -> pa.Table:
        return readers.setdefault(fragment.row_groups, FragmentReader(schema, filesystem)).read(fragment)

    monkeypatch.setattr(output_runs, "read_fragment", read)
    write(tmp_path / "in" / "a.parquet", rows(600), row_group_size=200)
    bucket = store.make_bucket("requests")
    store.upload(tmp_path / "in", f"{bucket}/in")
    with faulty_proxy(store.port) as proxy:
        assert run_once(store.uri(f"{bucket}/in", proxy.port), store.uri(f"{bucket}/out", proxy.port))
    # The other requests are of the plan, of the lease and of the end.
    assert proxy.counts.total() < 60 * 4 + 40


def test_a_file_of_one_fragment_takes_few_requests(store: S3Server, tmp_path: Path) -> None:
    """Seven: two each to plan it, to read it, and for part and record; and one for the file's record."""
    for number in range(60):
        write(tmp_path / "in" / f"{number}.parquet", rows(10))
    bucket = store.make_bucket("small-files")
    store.upload(tmp_path / "in", f"{bucket}/in")
    with faulty_proxy(store.port) as proxy:
        assert run_once(store.uri(f"{bucket}/in", proxy.port), store.uri(f"{bucket}/out", proxy.port))
    # The other requests are of the lease, looks at it, and lists.
    assert 60 * 7 <= proxy.counts.total() < 60 * 7 + 110


def test_a_small_file_is_put_by_one_request(store: S3Server, bucket: str) -> None:
    with faulty_proxy(store.port) as proxy:
        filesystem, path = resolve_path(store.uri(f"{bucket}/one", proxy.port), "output.path")
        with filesystem.open_output_stream(path) as stream:
            stream.write(b"x" * 100_000)
        assert proxy.counts.total() == 1


def test_nothing_is_lost_by_connections_that_break(store: S3Server, bucket: str) -> None:
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/fresh"))
    with faulty_proxy(store.port, rate=0.25, seed=3) as proxy:
        assert run_once(store.uri(f"{bucket}/in", proxy.port), store.uri(f"{bucket}/out", proxy.port))
        assert len(proxy.counts) == 6, "each kind of fault"
        assert proxy.counts.total() - proxy.counts["none"] > 15
    assert store.files(f"{bucket}/out") == store.files(f"{bucket}/fresh")


@pytest.mark.parametrize("fault", ["503", pytest.param("reset", marks=pytest.mark.slow)])
def test_an_outage_that_is_longer_than_the_client_s_patience_is_waited_out(
    store: S3Server, bucket: str, fault: str
) -> None:
    outage_s = 9.0
    began = 0.0

    def break_off(num_requests: int) -> None:
        nonlocal began
        if num_requests == 25:
            began = time.monotonic()
            proxy.rate = 1.0
        elif began and time.monotonic() > began + outage_s:
            proxy.rate = 0.0

    with faulty_proxy(store.port, faults=(fault,)) as proxy:
        proxy.on_request = break_off
        assert run_once(store.uri(f"{bucket}/in", proxy.port), store.uri(f"{bucket}/out", proxy.port))
        assert time.monotonic() > began + outage_s
        assert proxy.counts[fault] > 30
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/fresh"))
    assert store.files(f"{bucket}/out") == store.files(f"{bucket}/fresh")


def test_what_does_not_pass_is_an_error_at_once(store: S3Server, bucket: str, inputs: Path) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=r"input\.path: s3://no-such-bucket/in .*(listed|does not exist)"):
        run_once(store.uri("no-such-bucket/in"), store.uri(f"{bucket}/out"))
    with pytest.raises(OutputError, match=r"output\.path: no-such-bucket/out.* NO_SUCH_BUCKET"):
        run_once(str(inputs), store.uri("no-such-bucket/out").replace("&allow_bucket_creation=true", ""))
    with faulty_proxy(store.port, rate=1.0, faults=("403",)) as proxy:
        with pytest.raises(InputError, match=r"input\.path: .*ACCESS_DENIED") as refused:
            run_once(store.uri(f"{bucket}/in", proxy.port), store.uri(f"{bucket}/out"))
        with pytest.raises(OutputError, match=r"output\.path: .*ACCESS_DENIED.*check .*permissions"):
            run_once(str(inputs), store.uri(f"{bucket}/out", proxy.port))
    assert SECRET not in str(refused.value)
    assert time.monotonic() - started < 20


def test_a_changed_object_is_replaced_as_a_whole(store: S3Server, bucket: str, inputs: Path) -> None:
    output = f"{bucket}/out"
    assert run_once(store.uri(f"{bucket}/in"), store.uri(output))
    before = versions(store, output)
    store.upload(inputs, f"{bucket}/in")
    # Another time, and the same ETag: nothing has changed.
    assert run_once(store.uri(f"{bucket}/in"), store.uri(output), on_part=lambda: pytest.fail("written"))
    write(inputs / "a.parquet", rows(35, first=3))
    store.upload(inputs, f"{bucket}/in")
    seen = []

    def look() -> None:
        seen.append(versions(store, output))

    assert run_once(store.uri(f"{bucket}/in"), store.uri(output), on_part=look)
    assert seen == [before] * 4
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/fresh"))
    assert store.files(output) == store.files(f"{bucket}/fresh")


def test_an_object_of_the_same_size_and_footer_is_told_by_its_etag(
    store: S3Server, bucket: str, inputs: Path
) -> None:
    path = inputs / "a.parquet"
    pq.write_table(rows(25), path, compression="none", use_dictionary=False, write_statistics=False)
    store.upload(inputs, f"{bucket}/in")
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/out"))
    path.write_bytes(path.read_bytes().replace(b"row 7 ", b"row 8 "))
    store.upload(inputs, f"{bucket}/in")
    num_parts: list[int] = []
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/out"), on_part=lambda: num_parts.append(1))
    assert len(num_parts) == 3
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/fresh"))
    assert store.files(f"{bucket}/out") == store.files(f"{bucket}/fresh")


@pytest.mark.parametrize("kind", ["increment", "restart"])
def test_killed_at_some_requests_the_next_run_completes_it(
    store: S3Server, bucket: str, inputs: Path, kind: str
) -> None:
    identity = {"model": "b" if kind == "restart" else "a"}
    options = Options(identity=identity, is_restart=kind == "restart")
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/out"))
    write(inputs / "a.parquet", rows(35, first=3))
    store.upload(inputs, f"{bucket}/in")
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/fresh"), Options(identity=identity))
    num_kills = 0
    for request in range(random.randrange(10, 50), 10_000, 50):
        exit_code = killed_at(store, bucket, options, request)
        assert all(len(found) == 1 for found in versions(store, f"{bucket}/out").values())
        if exit_code == 0:
            break
        num_kills += 1
    assert num_kills >= 2
    assert store.files(f"{bucket}/out") == store.files(f"{bucket}/fresh")


def killed_at(store: S3Server, bucket: str, options: Options, request: int) -> int:
    """Kill a run when the store gets so many requests; its exit code."""
    with faulty_proxy(store.port) as proxy:
        uris = (store.uri(f"{bucket}/in"), store.uri(f"{bucket}/out", proxy.port))
        process = context().Process(target=run_once, args=(*uris, options))

        def kill(num_requests: int) -> None:
            if num_requests == request:
                os.kill(process.pid, signal.SIGKILL)

        proxy.on_request = kill
        process.start()
        process.join()
    code: int = process.exitcode
    return code


def test_readers_of_the_bucket_find_the_parts_alone(store: S3Server, bucket: str, inputs: Path) -> None:
    assert run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/out"))
    write(inputs / "a.parquet", rows(35, first=3))
    store.upload(inputs, f"{bucket}/in")
    with pytest.raises(ZeroDivisionError):
        run_once(store.uri(f"{bucket}/in"), store.uri(f"{bucket}/out"), on_part=lambda: 1 // 0)
    assert any(path.startswith("_staged/") for path in store.files(f"{bucket}/out"))
    found = ds.dataset(f"{bucket}/out", filesystem=store.filesystem(), format="parquet", partitioning="hive")
    assert sorted(found.to_table()["id"].to_pylist()) == sorted([*range(25), *range(5), *range(12)])
    assert found.schema.field("lang").type == pa.string()
