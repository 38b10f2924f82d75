"""The dashboard and the alerts name metrics and tags that the code records; Prometheus takes the alerts."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.monitoring import metric_names as names
from tests.unit.jobs.deploy.monitoring.monitoring_files import (
    ALERTS,
    DASHBOARD,
    FOLDER,
    SELECTOR,
    alert_selectors,
    alerts,
    panel_queries,
    panels,
)

METRICS = {metric.name: metric for metric in (*names.COUNTERS, *names.GAUGES, *names.HISTOGRAMS)}
README = (FOLDER / "README.md").read_text(encoding="utf-8")
TIMING = Path(__file__).with_name("xlmr_alerts_test.yml")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def metric_of(exported: str) -> names.Metric:
    """The metric behind a name that Prometheus sees."""
    name = exported.removeprefix(names.EXPORT_PREFIX)
    return METRICS.get(name) or METRICS[re.sub("_(bucket|sum|count)$", "", name)]


@pytest.mark.parametrize("query", [*panel_queries().values(), *(rule["expr"] for rule in alerts().values())])
def test_queries_name_metrics_and_tags_that_are_recorded(query: str) -> None:
    selectors = SELECTOR.findall(query)
    assert selectors
    tags = set()
    for selector in selectors:
        name, _, conditions = selector.partition("{")
        metric = metric_of(name)
        assert set(re.findall(r"(\w+)=", conditions)) <= set(metric.tags), selector
        tags |= set(metric.tags)
    grouped = {tag.strip() for by in re.findall(r"(?:by|on) \(([^)]*)\)", query) for tag in by.split(",")}
    assert grouped <= tags | {"le"}


def test_each_metric_is_on_the_dashboard_and_in_the_readme() -> None:
    shown = {
        metric_of(selector.partition("{")[0])
        for query in panel_queries().values()
        for selector in SELECTOR.findall(query)
    }
    assert shown == set(METRICS.values())
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", README, re.MULTILINE))
    assert {name: tuple(re.findall(r"`(\w+)`", tags)) for name, tags in table.items()} == {
        name: metric.tags for name, metric in METRICS.items()
    }


def test_panels_lie_on_grafanas_grid() -> None:
    places = [panel["gridPos"] for panel in panels()]
    assert places == [{"h": 8, "w": 12, "x": 12 * (i % 2), "y": 8 * (i // 2)} for i in range(len(places))]
    assert len({panel["id"] for panel in panels()}) == len(places)
    for panel in panels():
        assert panel["description"], panel["title"]
        assert all(each["datasource"] == "${datasource}" for each in (panel, *panel["targets"]))


def test_the_provider_reads_the_folder_of_the_dashboard() -> None:
    [provider] = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/xlmr.yml").read_text())["providers"]
    assert (provider["type"], Path(provider["options"]["path"]).name) == ("file", DASHBOARD.parent.name)


def test_each_alert_has_a_section_of_the_readme() -> None:
    sections = re.findall(r"^### (\w+)$", README, re.MULTILINE)
    assert sections == list(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"jobs/deploy/monitoring/README.md#{name.lower()}"
        assert "**What it means.**" in README.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert "**What to do.**" in README.partition(f"### {name}\n")[2].partition("\n### ")[0]
    assert len(alert_selectors()) == 7


@needs_promtool
def test_prometheus_takes_the_alerts_and_the_example_of_its_configuration() -> None:
    for command in (["rules", str(ALERTS)], ["config", str(ALERTS.with_name("prometheus.yml"))]):
        done = subprocess.run(["promtool", "check", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_fire_in_time() -> None:
    assert set(alerts()) == set(re.findall(r"alertname: (\w+)", TIMING.read_text(encoding="utf-8")))
    done = subprocess.run(["promtool", "test", "rules", str(TIMING)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
