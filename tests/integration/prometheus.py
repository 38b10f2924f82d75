"""A Prometheus server for tests, which scrapes a Ray cluster every second and evaluates the alerts."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.integration.processes import wait_for
from tests.unit.jobs.deploy.monitoring.monitoring_files import ALERTS

TIMEOUT_S = 30.0


class Prometheus:
    """The API of a server at a port of this machine."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        try:
            return bool(urlopen(f"{self._url}/-/ready", timeout=TIMEOUT_S).status == 200)
        except URLError:
            return False

    def values(self, query: str, begin: float, end: float) -> dict[str, list[float]]:
        """The values of each series of a query between two times, every second; by its labels as JSON."""
        found = self._get("query_range", query=query, start=begin, end=end, step=1)["result"]
        return {
            json.dumps(series["metric"], sort_keys=True): [float(value) for _, value in series["values"]]
            for series in found
        }

    def value(self, query: str) -> float:
        """The value of a query that gives one, now."""
        [series] = self._get("query", query=query)["result"]
        return float(series["value"][1])

    def series(self, selector: str, begin: float, end: float) -> list[dict[str, str]]:
        """The labels of the series that a selector has matched between two times."""
        found: list[dict[str, str]] = self._get("series", **{"match[]": selector}, start=begin, end=end)
        return found

    def _get(self, what: str, **parameters: str | float) -> Any:
        with urlopen(f"{self._url}/api/v1/{what}?{urlencode(parameters)}", timeout=TIMEOUT_S) as answer:
            return json.load(answer)["data"]


@contextmanager
def running_prometheus(folder: Path, port: int, target_port: int) -> Iterator[Prometheus]:
    """Prometheus with the alerts, in which minutes are seconds; ended with the block."""
    rules = re.sub(r"(\[|for: )(\d+)m\b", r"\1\2s", ALERTS.read_text(encoding="utf-8"))
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "ray", "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            server = Prometheus(port)
            wait_for("Prometheus", server.is_ready, timeout_s=TIMEOUT_S, interval_s=0.2)
            yield server
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
