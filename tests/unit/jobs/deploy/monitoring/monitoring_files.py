"""The dashboard and the alerts, and what they ask Prometheus for."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[5] / "jobs/deploy/monitoring"
DASHBOARD = FOLDER / "grafana/dashboards/xlmr_grafana_dashboard.json"
ALERTS = FOLDER / "prometheus/xlmr_alerts.yml"
SELECTOR = re.compile(r"ray_xlmr_\w+(?:\{[^}]*\})?")


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def panel_queries(run: str = ".+", interval: str = "1m") -> dict[str, str]:
    """The queries of all panels with values of the dashboard's variables, by title and number."""
    return {
        f"{panel['title']} {number}": target["expr"].replace("$run", run).replace("$__rate_interval", interval)
        for panel in panels()
        for number, target in enumerate(panel["targets"])
    }


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def alert_selectors() -> set[str]:
    """What the alerts select: names of metrics with conditions on their labels."""
    return {selector for rule in alerts().values() for selector in SELECTOR.findall(rule["expr"])}
