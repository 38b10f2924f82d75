"""Runs on a cluster that exports metrics: Prometheus sees what the dashboard and the alerts ask for."""

import json
import math
import os
import re
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

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

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


@dataclass(frozen=True)
class Live:
    """A run that was scraped: when, what it said, and where it wrote."""

    begin: float
    end: float
    finished: Finished
    root: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "log").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def live(watched: Watched, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Live:
    begin, root = time.time(), tmp_path_factory.mktemp("live")
    options = ["--log-format=json", f"--log-file={root}/log", "--failed-ok", "--address", watched.cluster.address]
    with started(job_file(corpus, root), *options, logs=root / "logs") as run:
        finished = run.finish()
    # What the driver recorded last is exported when it ends, and scraped a second later.
    time.sleep(3)
    return Live(begin, time.time(), finished, root)


def test_each_panel_has_data_and_each_alert_its_series(watched: Watched, live: Live) -> None:
    assert live.finished.code == 0, live.finished
    for name, query in panel_queries(interval="5s").items():
        found = watched.prometheus.values(query, live.begin, live.end)
        assert not all(math.isnan(value) for values in found.values() for value in values), name
    for selector in alert_selectors():
        assert watched.prometheus.series(selector, live.begin, live.end), selector


def test_prometheus_counts_what_the_run_does(watched: Watched, live: Live) -> None:
    counts, value = call_of(live.root / "out")["counts"], watched.prometheus.value
    assert counts["num_errors"] == NUM_ERRORS
    [run_id] = {line["run"] for line in live.log}
    for metric, expected in {
        "rows_total": counts["num_rows"],
        "row_errors_total": NUM_ERRORS,
        "tokens_total": counts["num_trunk_tokens"],
        "lease_lost_total": 0,
        "rebuilds_total": 0,
    }.items():
        assert value(f'sum(ray_xlmr_{metric}{{run="{run_id}"}})') == expected, metric
    assert value(f'ray_xlmr_row_errors_total{{run="{run_id}",kind="no_text"}}') == NUM_ERRORS
    for head in ("topic", "vector"):
        found = value(f'ray_xlmr_head_rows_total{{run="{run_id}",head="{head}"}}')
        assert found == counts["num_rows"] - NUM_ERRORS
    for gauge, least, most in (("utilization", 0.001, 1), ("replicas", 1, 1), ("memory_bytes", 1e6, 1e12)):
        found = value(f'max(max_over_time(ray_xlmr_{gauge}{{run="{run_id}"}}[5m]))')
        assert least <= found <= most, gauge
    # Leaders lose what they recorded last.
    assert value(f'sum(ray_xlmr_batch_seconds_count{{run="{run_id}"}})') > 0
    states = f'max by (state) (max_over_time(ray_xlmr_fragments{{run="{run_id}"}}[1m]))'
    found_states = watched.prometheus.values(states, live.end, live.end)
    assert found_states['{"state": "failed"}'] == [1.0]
    assert found_states['{"state": "done"}'] == [NUM_FRAGMENTS]


def test_two_alerts_fire_for_what_went_wrong(watched: Watched, live: Live) -> None:
    """Minutes are seconds here, so that others may fire on a slow machine."""
    firing = watched.prometheus.values('ALERTS{alertstate="firing"}', live.begin, live.end)
    assert {json.loads(labels)["alertname"] for labels in firing} >= {"XlmrFragmentFailed", "XlmrRowErrors"}


def test_no_text_and_no_path_is_exported_or_logged(watched: Watched, corpus: Corpus, live: Live) -> None:
    exported = "\n".join(line for line in watched.exported().splitlines() if "xlmr" in line)
    assert exported
    for text in (*SENTENCES, MARK, str(corpus.model), str(live.root)):
        assert text not in exported
    for text in (*SENTENCES, MARK):
        assert text not in str(live.log) + str(live.finished)


def test_json_tells_where_a_fragment_failed(watched: Watched, live: Live) -> None:
    [failure] = (live.root / "out" / FAILED).rglob("*.json")
    part_path = str(failure.relative_to(live.root / "out" / FAILED)).removesuffix(".json")
    told = [line for line in live.log if "fragment" in line]
    # When it happened, and at the end.
    assert [line["level"] for line in told] == ["info", "error"]
    node = watched.cluster.address.rpartition(":")[0]
    assert all((line["fragment"], line["attempt"], line["node"]) == (part_path, 1, node) for line in told)
    assert [json.loads(line) for line in live.finished.stderr.splitlines()] == [
        line for line in live.log if line["level"] != "result"
    ]


def test_a_rebuild_a_standstill_and_a_lost_lease_are_told(
    watched: Watched, corpus: Corpus, tmp_path: Path
) -> None:
    """In these alerts, as in the others here, minutes are seconds."""
    output, server, begin = tmp_path / "out", watched.prometheus, time.time()
    job = job_file(corpus, tmp_path, lease_timeout_s=12)

    def has_fired(alert: str) -> bool:
        return bool(server.values(f'ALERTS{{alertname="{alert}",alertstate="firing"}}', begin, time.time()))

    node = watched.cluster.address.rpartition(":")[0]
    told = re.compile(rf"its batch is retried \[fragment a\.\S+, attempt 1, node {node}\]\n")
    with started(job, "--address", watched.cluster.address, logs=tmp_path / "logs") as run:
        wait_for("part", lambda: list(output.glob("a.*.parquet")), timeout_s=60)
        watched.cluster.actors("ray::Rank")[0].kill()
        rebuilt = 'sum(ray_xlmr_rebuilds_total{run=~"out-.*"}) == 1'
        wait_for("rebuild", lambda: server.values(rebuilt, time.time(), time.time()), timeout_s=60, interval_s=0.5)
        wait_for("note", lambda: told.search((tmp_path / "logs/stderr").read_text()), timeout_s=60)
        [leader] = watched.cluster.actors("ray::MapWorker")
        os.kill(leader.pid, signal.SIGSTOP)
        wait_for("alert", lambda: has_fired("XlmrNoProgress"), timeout_s=60, interval_s=0.5)
        [claim] = (output / "_manifest/lease").glob("*.json")
        claim.unlink()
        finished = run.finish()
    assert finished.code == 1, finished
    assert "the lease is lost" in finished.stderr
    lost = 'max(ray_xlmr_lease_lost_total{run=~"out-.*"})'
    wait_for("count", lambda: server.value(lost) == 1, timeout_s=10, interval_s=0.5)
    wait_for("alert", lambda: has_fired("XlmrLeaseLost"), timeout_s=20, interval_s=0.5)
