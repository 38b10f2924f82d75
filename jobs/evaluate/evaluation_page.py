"""The report of an evaluation: charts of each task, and its worst errors to leaf through."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.evaluate.examples import GOLD, ROW, SCHEMAS, SEGMENT
from jobs.evaluate.metrics.calibration import calibration
from jobs.evaluate.metrics.classification import classification_figures
from jobs.evaluate.results import EvaluationResult, Figure, TaskResult
from jobs.evaluate.scoring.subset_scores import SubsetScores
from jobs.evaluate.tables import AS_THEY_ARE, NAMES, Line, lines_of, metrics_of, shown, sources_of
from jobs.evaluate.task_scores import ScoredTask
from jobs.report.examples import MAX_EXAMPLES
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
from pipeline.storage.printable import number_of

_MAX_LABELS = 40
# Whose quality of a row is an error: the less, the better.
_ERROR_KINDS = ("regression", "translation-quality")
_LENGTHS = (0, 16, 32, 64, 128, 256, 512)


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
    lines, metrics = list(lines_of(name, task)), metrics_of(task)
    for metric in metrics:
        yield _bars(lines, task, metric)
    yield _figures(lines, task, metrics)
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


def _decimals(metric: str) -> int:
    return 3 if metric in AS_THEY_ARE else 1


def _bars(lines: Sequence[Line], task: TaskResult, metric: str) -> Bars:
    """A bar for each subset and average, with published figures as marks."""
    by, name = _scale(metric), NAMES.get(metric, metric)
    bars = [_bar(line, metric, by) for line in lines]
    systems = dict.fromkeys(row.system for row in task.published if row.metric == metric)
    marks = {
        system: {line.name: found[metric] for line in lines if metric in (found := line.published.get(system, {}))}
        for system in systems
    }
    baseline = {line.name: by * line.baseline[metric] for line in lines if metric in line.baseline}
    return Bars(
        title=name[:1].upper() + name[1:],
        measure=name if metric in AS_THEY_ARE else f"{name}, %",
        bars=bars,
        references=[Reference(system, values) for system, values in marks.items() if values],
        baseline=Reference("majority class", baseline) if baseline else None,
        domain=(0.0, 100.0) if by == 100 and all(bar.interval and bar.interval[0] >= 0 for bar in bars) else None,
        decimals=_decimals(metric),
        category="subset",
        caption="; ".join(sources_of(row for row in task.published if row.metric == metric)),
    )


def _bar(line: Line, metric: str, by: float) -> Bar:
    figure = line.figures[metric]
    return Bar(line.name, by * figure.value, (by * figure.low, by * figure.high), line.num_rows is None)


def _figures(lines: Sequence[Line], task: TaskResult, metrics: Sequence[str]) -> Table:
    columns = [Column("subset"), Column("rows", is_numeric=True, decimals=0)]
    for metric in metrics:
        name = NAMES.get(metric, metric)
        columns += [Column(name, is_numeric=True, decimals=_decimals(metric)), Column("95 % interval")]
    rows: list[list[Cell]] = []
    for line in lines:
        cells: list[Cell] = [line.name, line.num_rows]
        for metric in metrics:
            figure = line.figures[metric]
            interval = f"{shown(metric, figure.low)} to {shown(metric, figure.high)}"
            cells += [_scale(metric) * figure.value, interval]
        rows.append(cells)
    num_failed = sum(len(each.failed) for each in task.subsets.values())
    caption = f"Failed and counted as wrong: {number_of(num_failed, 'row')}." if num_failed else ""
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
    subsets = scored.subsets.values()
    tokens = [each.rows.num_tokens.cast("float64").to_numpy(zero_copy_only=False) for each in subsets]
    length_N, quality_N = np.concatenate(tokens), np.concatenate([each.scores.quality for each in subsets])
    is_share = scored.task.kind != "regression"
    name = next(iter(subsets)).scores.quality_name
    bins = []
    for low, high in zip(_LENGTHS, (*_LENGTHS[1:], None), strict=True):
        # Rows of unknown length, and failed ones of regression, are in no bin.
        is_inside = (length_N >= low) & (length_N < (high or np.inf)) & ~np.isnan(quality_N)
        bins.append(_bin(low, high, (100.0 if is_share else 1.0) * quality_N[is_inside]))
    return Binned(
        "By length",
        f"{name}, %" if is_share else name,
        "tokens",
        bins,
        domain=(0.0, 100.0) if is_share else None,
        decimals=1 if is_share else 3,
        caption="Intervals by the normal approximation.",
    )


def _bin(low: int, high: int | None, values: NDArray[np.float64]) -> Bin:
    if len(values) == 0:
        return Bin(low, high, 0)
    mean, margin = float(values.mean()), float(1.96 * values.std() / np.sqrt(len(values)))
    return Bin(low, high, len(values), mean, (mean - margin, mean + margin))


def _worst(scored: ScoredTask) -> Examples:
    """The rows that are most wrong, of these the most confident first."""
    subsets = scored.subsets
    texts = [
        name
        for name in SCHEMAS[scored.task.kind].names
        if name not in (ROW, GOLD, "id", SEGMENT)
        and any(each.rows.examples[name].null_count < len(each.rows.examples) for each in subsets.values())
    ]
    is_scored = any(score is not None for each in subsets.values() for score in each.scores.confidence)
    is_class = scored.task.kind == "classification"
    names = [Column("subset"), Column("row", is_numeric=True, decimals=0), Column("gold"), Column("predicted")]
    names += [Column("score", is_numeric=True, decimals=3)] if is_scored else []
    found: list[tuple[tuple[float, float], list[Cell]]] = []
    num_wrong = 0
    for subset, each in subsets.items():
        order, keys, num = _order(each.scores, is_error=scored.task.kind in _ERROR_KINDS)
        num_wrong += num
        examples = each.rows.examples.select([ROW, *texts]).take(pa.array(order, pa.int64())).to_pylist()
        for n, key, row in zip(order, keys, examples, strict=True):
            cells: list[Cell] = [subset, row[ROW], each.scores.gold[n], each.scores.predicted[n]]
            cells += [each.scores.confidence[n]] if is_scored else []
            found.append((key, cells + [_text(row[name]) for name in texts]))
    return Examples(
        "Worst errors",
        [*names, *map(Column, texts)],
        [cells for _, cells in sorted(found, key=lambda row: row[0])[:MAX_EXAMPLES]],
        filters=["subset", "gold", "predicted"] if is_class else ["subset"],
        texts=texts if is_class else [*texts, "gold", "predicted"],
        num_total=num_wrong,
        caption="The most wrong first, of these the most confident. A dash: the row failed.",
    )


def _order(scores: SubsetScores, *, is_error: bool) -> tuple[list[int], list[tuple[float, float]], int]:
    """The worst rows of a subset with their keys to sort by, and how many rows are wrong at all."""
    badness = scores.quality if is_error else 1 - scores.quality
    badness = np.where(np.isnan(badness), np.inf, badness)
    confidence = np.array([0.0 if score is None else score for score in scores.confidence])
    order = [int(n) for n in np.lexsort((-confidence, -badness))[:MAX_EXAMPLES] if badness[n] > 0]
    return order, [(-float(badness[n]), -float(confidence[n])) for n in order], int((badness > 0).sum())


def _text(value: object) -> str | None:
    """A text, or several: words between blanks, and choices, which hold blanks, between bars."""
    if isinstance(value, list):
        texts = [str(each) for each in value]
        return (" | " if any(" " in text for text in texts) else " ").join(texts)
    return None if value is None else str(value)


def _percent(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} ({100 * figure.low:.1f} to {100 * figure.high:.1f})"
