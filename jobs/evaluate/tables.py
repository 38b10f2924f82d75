"""The figures of an evaluation as tables: on the terminal, as CSV and as Markdown."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from jobs.evaluate.examples import Published
from jobs.evaluate.results import EvaluationResult, Figure, TaskResult
from jobs.terminal.console import plain_console
from pipeline.storage.printable import printable

NAMES = {
    "accuracy": "accuracy",
    "matthews": "Matthews",
    "f1": "F1",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "average_precision": "macro AP",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "mae": "MAE",
    "kendall": "Kendall",
    "acc_eq": "acc_eq",
    "system_pearson": "systems Pearson",
    "system_accuracy": "systems accuracy",
    "exact_match": "EM",
    "best_exact_match": "best EM",
    "best_f1": "best F1",
    "token_accuracy": "token accuracy",
    "xtreme_f1": "XTREME F1",
    "entity_f1": "entity F1",
}
"""Metrics as people write them."""
AS_THEY_ARE = {"mae"}
"""Metrics in the unit of the data; all others are shown in percent."""


@dataclass(frozen=True)
class Line:
    """A line of the tables: a subset, an average, or a published row, which has no interval."""

    task: str
    name: str
    num_rows: int | None
    num_failed: int | None
    figures: Mapping[str, Figure]
    baseline: Mapping[str, float]
    published: Mapping[str, Mapping[str, float]]


def shown(metric: str, value: float) -> str:
    """A value as it is printed."""
    # Adding 0.0 takes the sign from a negative zero.
    return f"{round(value, 3) + 0.0:.3f}" if metric in AS_THEY_ARE else f"{round(100 * value, 1) + 0.0:.1f}"


def lines_of(name: str, task: TaskResult) -> Iterator[Line]:
    """The lines of a task: its subsets, then the averages over them."""
    for subset, result in task.subsets.items():
        published: dict[str, dict[str, float]] = {}
        for row in task.published:
            if subset in row.values:
                published.setdefault(row.system, {})[row.metric] = row.values[subset]
        num_failed = len(result.failed)
        yield Line(
            name, printable(subset), result.num_rows, num_failed, result.figures, result.baseline, published
        )
    for average, mean in task.averages.items():
        published = published_means(task, mean.subsets)
        yield Line(name, f"{average} of {len(mean.subsets)}", None, None, mean.figures, mean.baseline, published)


def published_means(task: TaskResult, subsets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Published averages by system and metric, where these subsets are all that the benchmark has."""
    found: dict[str, dict[str, float]] = {}
    for row in task.published:
        if "mean" in row.values and not task.missing and set(subsets) == set(task.subsets):
            found.setdefault(row.system, {})[row.metric] = row.values["mean"]
    return found


def print_result(result: EvaluationResult) -> None:
    """Print a table for each task, then the averages over tasks, and notes."""
    console = plain_console(120, narrowest=80)
    for name, task in result.tasks.items():
        console.print(_table(name, task))
        for row in sources_of(task.published):
            console.print(row, soft_wrap=True)
        failed = [(subset, *row) for subset, found in task.subsets.items() for row in found.failed]
        for subset, number, reason in failed[:5]:
            console.print(f"failed, counted as wrong: {printable(subset)} row {number}: {reason}", soft_wrap=True)
        if len(failed) > 5:
            console.print(f"and {len(failed) - 5:,} more, see results.json")
    for rule, figure in result.averages.items():
        console.print(f"{rule}: {_with_interval('', figure)}", soft_wrap=True)
    for note in result.notes:
        console.print(note, soft_wrap=True)


def _table(name: str, task: TaskResult) -> Table:
    metrics = metrics_of(task)
    table = Table(title=f"{name}, {task.split}: 95 % intervals", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("rows", justify="right")
    for metric in metrics:
        table.add_column(NAMES.get(metric, metric), justify="right")
    baselines = [metric for metric in metrics if any(metric in line.baseline for line in lines_of(name, task))]
    for metric in baselines:
        table.add_column(f"majority {NAMES.get(metric, metric)}", justify="right")
    systems = _systems(task)
    for system, metric in systems:
        table.add_column(f"{system} {NAMES.get(metric, metric)}", justify="right")
    for line in lines_of(name, task):
        cells = [line.name, "" if line.num_rows is None else f"{line.num_rows:,}"]
        cells += [_with_interval(m, line.figures[m]) if m in line.figures else "" for m in metrics]
        cells += [shown(m, line.baseline[m]) if m in line.baseline else "" for m in baselines]
        for system, metric in systems:
            value = line.published.get(system, {}).get(metric)
            cells.append("" if value is None else f"{value:.1f}")
        table.add_row(*cells)
    return table


def as_csv(result: EvaluationResult) -> str:
    """One line per task, subset or average, and metric; values in percent where the metric is a share."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["task", "split", "subset", "rows", "failed", "metric", "value", "low", "high", "majority"])
    for name, task in result.tasks.items():
        for line in lines_of(name, task):
            for metric, figure in line.figures.items():
                values = [shown(metric, value) for value in (figure.value, figure.low, figure.high)]
                majority = shown(metric, line.baseline[metric]) if metric in line.baseline else ""
                counts = [line.num_rows, line.num_failed]
                writer.writerow([name, task.split, line.name, *counts, metric, *values, majority])
    return sink.getvalue()


def as_markdown(result: EvaluationResult) -> str:
    """A table for each task, with published figures beside."""
    blocks = []
    for name, task in result.tasks.items():
        metrics, systems = metrics_of(task), _systems(task)
        heads = [NAMES.get(metric, metric) for metric in metrics]
        heads += [f"{system} {NAMES.get(metric, metric)}" for system, metric in systems]
        rows = [f"| {name} {_escaped(task.split)} | rows | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
        for line in lines_of(name, task):
            cells = [_with_interval(m, line.figures[m]) if m in line.figures else "" for m in metrics]
            found = (line.published.get(system, {}).get(metric) for system, metric in systems)
            cells += ["" if value is None else f"{value:.1f}" for value in found]
            count = "" if line.num_rows is None else f"{line.num_rows:,}"
            rows.append(f"| {_escaped(line.name)} | {count} | {' | '.join(cells)} |")
        blocks.append("\n".join([*rows, "", *(f"- {row}" for row in sources_of(task.published))]).rstrip())
    blocks += [f"{rule}: {_with_interval('', figure)}" for rule, figure in result.averages.items()]
    return "\n\n".join([*blocks, *result.notes]) + "\n"


def metrics_of(task: TaskResult) -> list[str]:
    """All metrics of a task, the official ones first."""
    found = dict.fromkeys(task.metrics)
    for result in task.subsets.values():
        found |= dict.fromkeys(result.figures)
    return list(found)


def _systems(task: TaskResult) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row.system, row.metric) for row in task.published))


def sources_of(published: Iterable[Published]) -> list[str]:
    """Where published figures are from and how they were measured, a line for each."""
    lines = (f"{row.system}: {row.split}, {row.setting}; {row.source}" for row in published)
    return list(dict.fromkeys(lines))


def _with_interval(metric: str, figure: Figure) -> str:
    return f"{shown(metric, figure.value)} [{shown(metric, figure.low)}, {shown(metric, figure.high)}]"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
