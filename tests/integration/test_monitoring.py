"""Runs on a cluster that exports metrics: Prometheus sees what the dashboard and the alerts ask for."""

import json
import math
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.output.output_folder import FAILED
from tests.integration.cluster import Cluster, running_cluster
from tests.integration.corpus import Corpus, job_of, write_job
from tests.integration.processes import wait_for
from tests.integration.prometheus import Prometheus, running_prometheus
from tests.integration.runs import Finished, started
from tests.integration.shared_cluster.test_faults_of_files import damage_page
from tests.tiny_tokenizer import SENTENCES
from tests.unit.jobs.deploy.monitoring.monitoring_files import alert_selectors, panel_queries

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")

NUM_FRAGMENTS, FRAGMENT_ROWS, NUM_ERRORS = 120, 4, 40
MARK = "Donaudampfschifffahrt"
"""A word in the fragment that fails."""


@dataclass(frozen=True)
class Watched:
    """A cluster, what it exports, and who scrapes it."""

    cluster: Cluster
    metrics_port: int
    prometheus: Prometheus

    def exported(self) -> str:
        """What the agent of the node shows."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
            return str(answer.read(), "utf-8")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    metrics_port, port = free_port(), free_port()
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        running_cluster(metrics_port=metrics_port) as cluster,
        running_prometheus(folder, port, metrics_port) as server,
    ):
        yield Watched(cluster, metrics_port, server)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def write_inputs(folder: Path) -> None:
    """One fragment with a damaged page, and some rows without text."""
    folder.mkdir()
    num_rows = NUM_FRAGMENTS * FRAGMENT_ROWS
    texts = [None if i % (num_rows // NUM_ERRORS) == 1 else SENTENCES[i % len(SENTENCES)] for i in range(num_rows)]
    table = pa.table({"text": texts, "hypothesis": texts})
    pq.write_table(table, folder / "a.parquet", row_group_size=FRAGMENT_ROWS)
    file = folder / "damaged.parquet"
    pq.write_table(
        pa.table({"text": [MARK] * 2, "hypothesis": [MARK] * 2}),
        file,
        write_page_checksum=True,
        compression="none",
    )
    damage_page(file, MARK)


def job_file(corpus: Corpus, root: Path, **output: Any) -> Path:
    write_inputs(root / "in")
    job = job_of(corpus)
    job["input"] = {"path": str(root / "in"), "max_fragment_rows": FRAGMENT_ROWS}
    job["output"] = {"path": str(root / "out"), **output}
    return write_job(root / "job.toml", job)


def call_of(output: Path) -> dict[str, Any]:
    """The record of its only call."""
    [path] = (output / "_manifest/runs").glob("*.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def json_lines(finished: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in finished.stderr.splitlines()]


def test_a_live_run_is_seen(watched: Watched, corpus: Corpus, tmp_path: Path) -> None:
    begin = time.time()
    options = ["--address", watched.cluster.address, "--log-format", "json"]
    with started(job_file(corpus, tmp_path), *options, logs=tmp_path / "logs") as run:
        finished = run.finish()
    assert finished.code == 3, finished
    time.sleep(3)
    end, server = time.time(), watched.prometheus

    for name, query in panel_queries(interval="5s").items():
        found = server.values(query, begin, end)
        assert not all(math.isnan(value) for values in found.values() for value in values), name
    for selector in alert_selectors():
        assert server.series(selector, begin, end), selector

    counts = call_of(tmp_path / "out")["counts"]
    [run_id] = {line["run"] for line in json_lines(finished) if "run" in line}
    for metric, expected in {
        "rows_total": counts["num_rows"],
        "row_errors_total": counts["num_errors"],
        "tokens_total": counts["num_trunk_tokens"],
        "lease_lost_total": 0,
    }.items():
        assert server.value(f'sum(ray_xlmr_{metric}{{run="{run_id}"}})') == expected, metric
    assert server.value(f'ray_xlmr_row_errors_total{{run="{run_id}",kind="no_text"}}') == NUM_ERRORS
    by_head = server.value(f'ray_xlmr_head_rows_total{{run="{run_id}",head="topic"}}')
    assert by_head == counts["num_rows"] - NUM_ERRORS
    firing = {
        json.loads(labels)["alertname"] for labels in server.values('ALERTS{alertstate="firing"}', begin, end)
    }
    assert firing == {"XlmrFragmentFailed", "XlmrRowErrors"}

    exported = [line for line in watched.exported().splitlines() if "xlmr" in line]
    assert exported
    for text in (*SENTENCES, MARK, str(corpus.model), str(tmp_path)):
        assert not any(text in line for line in exported)


def test_json_tells_where_a_fragment_failed_and_no_text(watched: Watched, corpus: Corpus, tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ["--address", watched.cluster.address, "--log-format", "json", "--log-file", str(log), "--failed-ok"]
    with started(job_file(corpus, tmp_path), *options, "--quiet", logs=tmp_path / "logs") as run:
        finished = run.finish()
    assert finished.code == 0, finished
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    [failure] = (tmp_path / "out" / FAILED).rglob("*.json")
    part_path = str(failure.relative_to(tmp_path / "out" / FAILED)).removesuffix(".json")
    failed = [line for line in lines if "fragment" in line]
    assert {line["level"] for line in failed} == {"info", "error"}
    for line in failed:
        assert (line["fragment"], line["attempt"]) == (part_path, 1)
        assert line["node"] == watched.cluster.address.rpartition(":")[0]
    assert [line["level"] for line in json_lines(finished)] == ["error", "error"]
    assert not any(text in str(lines) for text in (*SENTENCES, MARK))


@pytest.mark.slow
def test_a_run_that_stands_still_and_one_that_loses_its_lease_are_told(
    watched: Watched, corpus: Corpus, tmp_path: Path
) -> None:
    """In these alerts, as in the others here, minutes are seconds."""
    output, server = tmp_path / "out", watched.prometheus
    job = job_file(corpus, tmp_path, lease_timeout_s=12)

    def is_firing(alert: str) -> bool:
        now = time.time()
        return bool(server.values(f'ALERTS{{alertname="{alert}",alertstate="firing"}}', now - 1, now))

    with started(job, "--address", watched.cluster.address, logs=tmp_path / "logs") as run:
        wait_for("part", lambda: list(output.glob("a.*.parquet")), timeout_s=60)
        [leader] = watched.cluster.actors("ray::MapWorker")
        os.kill(leader.pid, signal.SIGSTOP)
        wait_for("alert", lambda: is_firing("XlmrNoProgress"), timeout_s=60, interval_s=0.5)
        [claim] = (output / "_manifest/lease").glob("*.json")
        claim.unlink()
        finished = run.finish()
    assert finished.code == 1, finished
    assert "the lease is lost" in finished.stderr
    wait_for("alert", lambda: is_firing("XlmrLeaseLost"), timeout_s=20, interval_s=0.5)
