"""`python -m jobs.demo` as a newcomer runs it: a process of its own in an empty folder, with real Ray."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from jobs.demo.sample import read_source
from tests.integration.processes import environment
from tests.integration.runs import ROOT

TIMEOUT_S = 240.0


def demo(
    folder: Path, *prefix: str, prepare: Callable[[], None] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run it there; `prefix` goes before the command, `prepare` is called in the new process."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "jobs.demo"],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT), COLUMNS="120"),
        preexec_fn=prepare,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder: Path) -> "subprocess.CompletedProcess[str]":
    return demo(folder)


@pytest.fixture(scope="module")
def output(folder: Path, first: "subprocess.CompletedProcess[str]") -> pa.Table:
    assert first.returncode == 0, first.stdout + first.stderr
    return ds.dataset(sorted((folder / "demo/annotated").glob("*.parquet"))).to_table()


def test_it_shows_what_came_out(first: "subprocess.CompletedProcess[str]") -> None:
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Traceback" not in first.stderr
    for expected in (
        "The ferry leaves at seven",
        "清晨的公园里",
        "column 'text' is null",
        "language is right in",
        "nearest vectors across languages",
        "tokens/s",
        "The Parquet is in demo/annotated",
        "--set input.path=YOUR.parquet",
        "demo/xl.toml --set model.path=YOUR/xlm-roberta-xl",
        "ray job submit",
    ):
        assert expected in first.stdout, expected


def test_all_rows_are_there_in_their_order(output: pa.Table) -> None:
    rows = read_source()
    assert output["id"].to_pylist() == [row.id for row in rows]
    assert output["text"].to_pylist() == [row.text for row in rows]
    errors = [row.id for row, error in zip(rows, output["error"].to_pylist(), strict=True) if error is not None]
    assert errors == [row.id for row in rows if row.lang is None]


def test_every_head_says_something_of_every_text(output: pa.Table) -> None:
    for row in output.to_pylist():
        for head in ("language", "tags", "loss", "vector"):
            assert (row[head] is None) == (row["lang"] is None), (row["id"], head)


def test_long_documents_are_read_in_windows(output: pa.Table) -> None:
    long = [row for row in output.to_pylist() if row["num_tokens"] > 512]
    assert len(long) >= 3
    assert all(row["num_windows"] >= 2 for row in long)
    assert all(row["tags"][-1]["end"] == len(row["text"]) for row in long)


def test_the_languages_are_found(output: pa.Table) -> None:
    rows = [row for row in output.to_pylist() if row["lang"] is not None]
    num_right = sum(row["language"]["label"] == row["lang"] for row in rows)
    assert num_right / len(rows) >= 0.94


def test_a_second_time_it_is_done_already(folder: Path, output: pa.Table) -> None:
    before = {path: path.read_bytes() for path in (folder / "demo").rglob("*.parquet")}
    second = demo(folder)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "everything is already done" in second.stdout
    assert "The ferry leaves at seven" in second.stdout
    assert {path: path.read_bytes() for path in (folder / "demo").rglob("*.parquet")} == before


def refused(finished: "subprocess.CompletedProcess[str]", expected: str) -> None:
    """It ended at once, and one line says why."""
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert finished.stdout == ""
    [line] = finished.stderr.splitlines()
    assert line.startswith("demo: " + expected), line


def test_too_little_memory(tmp_path: Path) -> None:
    limit = 2**30
    refused(
        demo(tmp_path, prepare=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))),
        "too little memory: 1.5 GiB must be free, found 1.0; ",
    )


def test_no_network(tmp_path: Path) -> None:
    """In a network of its own, whose loopback is down."""
    prefix = ("unshare", "--map-root-user", "--net")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make network namespaces")
    refused(demo(tmp_path, *prefix), "no network: 127.0.0.1 cannot be reached (Network is unreachable); ")


def test_no_free_port(tmp_path: Path) -> None:
    """In a network of its own, with fewer ports than Ray needs."""
    prefix = ("unshare", "--map-root-user", "--net")
    setup = "ip link set lo up && echo '40000 40009' > /proc/sys/net/ipv4/ip_local_port_range"
    if subprocess.run([*prefix, "sh", "-c", setup], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make network namespaces, and ip")
    command = f'{setup} && exec "$0" "$@"'
    refused(
        demo(tmp_path, *prefix, "sh", "-c", command), "no free port: 24 are needed on 127.0.0.1, found 10 (Address"
    )


def test_no_room_on_disk(tmp_path: Path) -> None:
    """In a file system of 4 MiB."""
    prefix = ("unshare", "--map-root-user", "--mount")
    setup = f"mount -t tmpfs -o size=4m tmpfs {tmp_path} && cd {tmp_path}"
    if subprocess.run([*prefix, "sh", "-c", setup], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    refused(demo(tmp_path, *prefix, "sh", "-c", f'{setup} && exec "$0" "$@"'), "no room on disk: ")
