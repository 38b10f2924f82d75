"""The report of an evaluation: charts of each task, and its worst errors to leaf through."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa

from jobs.evaluate.examples import GOLD, ROW
from jobs.evaluate.metrics.calibration import calibration
from jobs.evaluate.metrics.classification import classification_figures
from jobs.evaluate.results import EvaluationResult, Figure, TaskResult
from jobs.evaluate.tables import AS_THEY_ARE, NAMES, lines_of, published_means
from jobs.evaluate.task_scores import ScoredTask
from jobs.report.page import (
    Bar,
    Bars,
    Bin,
    Binned,
    Block,
    CalibrationBin,
    Cell,
    Column,
    Examples,
    Matrix,
    Page,
    Prose,
    Reference,
    Reliability,
    Section,
    Table,
)

_MAX_ERRORS = 300
_MAX_LABELS = 40
_LENGTHS = (0, 16, 32, 64, 128, 256, 512, None)


def evaluation_page(result: EvaluationResult, scored: Mapping[str, ScoredTask]) -> Page:
    """The page of an evaluation, from its results and the scored rows."""
    facts = [
        ("command", result.command),
        ("computed", result.time),
        ("versions", ", ".join(f"{name} {number}" for name, number in result.versions.items())),
        ("intervals", f"95 %, bootstrap of {result.num_resamples:,} resamples, seed {result.seed}"),
        *((rule, _percent(figure)) for rule, figure in result.averages.items()),
    ]
    sections = [
        Section(f"{name}, {task.split}", f"task-{number}", list(_blocks(name, task, scored[name])))
        for number, (name, task) in enumerate(result.tasks.items())
    ]
    if result.notes:
        sections.append(Section("Notes", "notes", [Prose("\n\n".join(result.notes))]))
    return Page(f"Evaluation on {result.benchmark}", "Figures with 95 % intervals", facts, sections)


def _blocks(name: str, task: TaskResult, scored: ScoredTask) -> Iterator[Block]:
    yield Table("Checkpoint", [Column(""), Column("value")], _checkpoint(task))
    metrics = list(dict.fromkeys(m for each in task.subsets.values() for m in each.figures))
    for metric in metrics:
        yield _bars(task, metric)
    yield _figures(name, task, metrics)
    if task.kind == "classification":
        yield from _label_blocks(scored)
    yield _by_length(scored)
    yield _worst(scored)


def _checkpoint(task: TaskResult) -> list[list[Cell]]:
    rows: list[list[Cell]] = [["model", task.model], ["head", task.head], ["split", task.split]]
    rows += [[name, value] for name, value in task.options.items()]
    if task.labels:
        rows.append(["labels", ", ".join(f"{label} is {name}" for label, name in task.labels.items())])
    if task.missing:
        rows.append(["not evaluated", ", ".join(task.missing)])
    return rows


def _scale(metric: str) -> float:
    return 1.0 if metric in AS_THEY_ARE else 100.0


def _bars(task: TaskResult, metric: str) -> Bars:
    """A bar for each subset and average, with published figures as marks."""
    by = _scale(metric)
    bars = [_bar(name, each.figures[metric], by) for name, each in task.subsets.items()]
    bars += [_bar(name, each.figures[metric], by, is_summary=True) for name, each in task.averages.items()]
    published: dict[str, dict[str, float]] = {}
    for row in task.published:
        if row.metric == metric:
            published[row.system] = {subset: v for subset, v in row.values.items() if subset in task.subsets}
    for name, each in task.averages.items():
        for system, values in published_means(task, each.subsets).items():
            if metric in values:
                published[system][name] = values[metric]
    baseline = {name: by * each.baseline[metric] for name, each in task.subsets.items() if metric in each.baseline}
    baseline |= {
        name: by * each.baseline[metric] for name, each in task.averages.items() if metric in each.baseline
    }
    name = NAMES.get(metric, metric)
    return Bars(
        title=name[:1].upper() + name[1:],
        measure=name if metric in AS_THEY_ARE else f"{name}, %",
        bars=bars,
        references=[Reference(system, values) for system, values in published.items() if values],
        baseline=Reference("majority class", baseline) if baseline else None,
        domain=(0.0, 100.0) if by == 100 and all(bar.value is None or bar.value >= 0 for bar in bars) else None,
        caption="; ".join(
            dict.fromkeys(f"{r.system}: {r.split}, {r.setting} ({r.source})" for r in task.published)
        ),
    )


def _bar(name: str, figure: Figure, by: float, *, is_summary: bool = False) -> Bar:
    return Bar(name, by * figure.value, (by * figure.low, by * figure.high), is_summary)


def _figures(name: str, task: TaskResult, metrics: list[str]) -> Table:
    columns = [Column("subset"), Column("rows", is_numeric=True, decimals=0)]
    for metric in metrics:
        columns += [Column(NAMES.get(metric, metric), is_numeric=True), Column("95 % interval")]
    rows: list[list[Cell]] = []
    for line in lines_of(name, task):
        cells: list[Cell] = [line.name, line.num_rows]
        for metric in metrics:
            figure = line.figures[metric]
            low, high = (f"{_scale(metric) * value:.1f}" for value in (figure.low, figure.high))
            cells += [_scale(metric) * figure.value, f"{low} to {high}"]
        rows.append(cells)
    failed = sum(len(each.failed) for each in task.subsets.values())
    caption = f"{failed:,} rows failed and count as wrong." if failed else ""
    return Table("Figures", columns, rows, caption)


def _label_blocks(scored: ScoredTask) -> Iterator[Block]:
    """The confusion matrix and the reliability of scores, over all subsets together."""
    gold = [name for each in scored.subsets.values() for name in each.scores.gold]
    predicted = [name for each in scored.subsets.values() for name in each.scores.predicted]
    confidence = [score for each in scored.subsets.values() for score in each.scores.confidence]
    correct = np.concatenate([each.scores.is_right for each in scored.subsets.values()])
    figures = classification_figures(gold, predicted, list(scored.task.labels))
    names = [str(label.label) for label in figures.labels]
    if len(names) <= _MAX_LABELS:
        counts = [row[: len(names)] for row in figures.confusion[: len(names)]]
        yield Matrix("Confusion of labels", names, counts, "Rows: gold. Columns: predicted. All subsets together.")
    found = calibration(confidence, correct)
    bins = [CalibrationBin(each.mean_score, each.accuracy, each.num_rows) for each in found.bins]
    yield Reliability("Reliability of scores", bins, found.expected_error, "All subsets together.")


def _by_length(scored: ScoredTask) -> Binned:
    """The quality of rows in bins of their number of tokens."""
    lengths = np.concatenate(
        [each.rows.num_tokens.fill_null(0).to_numpy(zero_copy_only=False) for each in scored.subsets.values()]
    )
    quality = np.concatenate([each.scores.quality for each in scored.subsets.values()])
    name = next(iter(scored.subsets.values())).scores.quality_name
    by = 1.0 if scored.task.kind == "regression" else 100.0
    bins = []
    for low, high in pairwise(_LENGTHS):
        assert low is not None
        inside = (lengths >= low) & (lengths < (np.inf if high is None else high)) & ~np.isnan(quality)
        values = by * quality[inside]
        if len(values) == 0:
            bins.append(Bin(low, high, 0))
            continue
        mean, margin = float(values.mean()), float(1.96 * values.std() / np.sqrt(len(values)))
        bins.append(Bin(low, high, len(values), mean, (mean - margin, mean + margin)))
    unit = "" if by == 1 else ", %"
    return Binned("By length", f"{name}{unit}", "tokens", bins, caption="Intervals by the normal approximation.")


def _worst(scored: ScoredTask) -> Examples:
    """The rows that are most wrong, of these the most confident first."""
    texts = [n for n in next(iter(scored.subsets.values())).rows.examples.column_names if n not in (ROW, GOLD)]
    texts = [name for name in texts if name != "id"]
    is_error = scored.task.kind == "regression"
    found: list[tuple[float, float, list[Cell]]] = []
    num_wrong = 0
    for subset, each in scored.subsets.items():
        scores = each.scores
        badness = scores.quality if is_error else 1 - scores.quality
        badness = np.where(np.isnan(badness), np.inf, badness)
        confidence = np.array([0.0 if score is None else score for score in scores.confidence])
        num_wrong += int((badness > 0).sum())
        order = np.lexsort((-confidence, -badness))[:_MAX_ERRORS]
        columns = [each.rows.examples[name].take(pa.array(order)).to_pylist() for name in texts]
        numbers = each.rows.row_numbers
        for place, index in enumerate(order.tolist()):
            if badness[index] > 0:
                shown = [_text(column[place]) for column in columns]
                cells: list[Cell] = [subset, numbers[index], scores.gold[index], scores.predicted[index]]
                cells += [scores.confidence[index], *shown]
                found.append((-float(badness[index]), -float(confidence[index]), cells))
    found.sort(key=lambda row: row[:2])
    names = [Column("subset"), Column("row", is_numeric=True, decimals=0), Column("gold"), Column("predicted")]
    names += [Column("score", is_numeric=True, decimals=3), *(Column(name) for name in texts)]
    filters = ["subset", "gold", "predicted"] if scored.task.kind == "classification" else ["subset"]
    return Examples(
        "Worst errors",
        names,
        [cells for _, _, cells in found[:_MAX_ERRORS]],
        filters=filters,
        texts=[*texts, *([] if scored.task.kind == "classification" else ["gold", "predicted"])],
        num_total=num_wrong,
        caption="The most wrong first, of these the most confident. A dash: the row failed.",
    )


def _text(value: object) -> str | None:
    if isinstance(value, list):
        return (
            " | ".join(map(str, value)) if any(" " in str(each) for each in value) else " ".join(map(str, value))
        )
    return None if value is None else str(value)


def _percent(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} ({100 * figure.low:.1f} to {100 * figure.high:.1f})"
