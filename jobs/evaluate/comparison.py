"""Set two evaluations of the same examples side by side: `--compare OUT_A OUT_B`."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.table import Table

from jobs.evaluate.folder import EvaluationFolder, EvaluationRecord
from jobs.evaluate.local_files import require_writable, write_file
from jobs.evaluate.metrics.significance import Difference, Flips, flips, mcnemar, paired_bootstrap
from jobs.evaluate.outcome import benchmark_of, score_all
from jobs.evaluate.results import Measured, mean_of
from jobs.evaluate.tables import NAMES, shown
from jobs.evaluate.task_scores import ScoredSubset, ScoredTask
from jobs.terminal.console import plain_console
from pipeline.errors import InputError
from pipeline.storage.printable import printable, shortened

_EXACT = ("accuracy", "exact_match")
"""Metrics that are the share of right rows, so that McNemar's test applies."""
_MAX_SHOWN = 8


@dataclass(frozen=True)
class ComparedMetric:
    """A metric of both evaluations; `mcnemar_p` and `flipped` (row numbers) where it is a share of right rows."""

    task: str
    subset: str
    metric: str
    first: float
    second: float
    difference: Difference
    mcnemar_p: float | None = None
    flipped: Flips | None = None


def compare(first: str, second: str, *, seed: int, json_file: str | None) -> None:
    """Print how the second evaluation differs from the first. Raises InputError if their rows are not the same."""
    if json_file is not None:
        require_writable("--json", json_file)
    folders = [EvaluationFolder.open(path) for path in (first, second)]
    records = [folder.record() for folder in folders]
    _require_same_examples(folders, records)
    scored = [
        score_all(folder, benchmark_of(record), record, seed)
        for folder, record in zip(folders, records, strict=True)
    ]
    compared = [
        metric
        for name in scored[0]
        if name in scored[1]
        for metric in compared_task(scored[0][name], scored[1][name])
    ]
    if not compared:
        raise InputError(
            f"--compare: found no gold labels in {folders[0].name} and {folders[1].name}, expected some; choose "
            "evaluations on a split that has them"
        )
    _print(compared, *(folder.name for folder in folders))
    if json_file is not None:
        content = [asdict(metric) for metric in compared]
        write_file("--json", json_file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def compared_task(first: ScoredTask, second: ScoredTask) -> Iterator[ComparedMetric]:
    """The metrics of each subset that both have, then of the means over these."""
    names = [name for name in first.subsets if name in second.subsets]
    for name in names:
        ours, theirs = first.subsets[name], second.subsets[name]
        for metric in ours.measured:
            if metric in theirs.measured:
                yield _compared(first.task.name, name, metric, ours, theirs)
    if len(names) > 1:
        for metric in first.task.metrics:
            means = [mean_of([side.subsets[name].measured[metric] for name in names]) for side in (first, second)]
            difference = _difference(*means)
            yield ComparedMetric(
                first.task.name, f"mean of {len(names)}", metric, means[0].value, means[1].value, difference
            )


def _compared(task: str, subset: str, metric: str, ours: ScoredSubset, theirs: ScoredSubset) -> ComparedMetric:
    values = ours.measured[metric], theirs.measured[metric]
    difference = _difference(*values)
    test: float | None = None
    flipped: Flips | None = None
    if metric in _EXACT:
        found = flips(ours.scores.is_right, theirs.scores.is_right)
        test = mcnemar(found)
        rows = ours.rows.row_numbers
        flipped = Flips([rows[index] for index in found.won], [rows[index] for index in found.lost])
    return ComparedMetric(task, subset, metric, values[0].value, values[1].value, difference, test, flipped)


def _difference(first: Measured, second: Measured) -> Difference:
    return paired_bootstrap(first.value, second.value, first.resampled, second.resampled)


def _require_same_examples(folders: list[EvaluationFolder], records: list[EvaluationRecord]) -> None:
    """Raise InputError if the evaluations share no task, or a subset of theirs has other examples."""
    first, second = records
    if not first.tasks.keys() & second.tasks.keys():
        raise InputError(
            f"--compare: found {first.benchmark} in {folders[0].name}, {second.benchmark} in {folders[1].name}, "
            "expected evaluations of the same tasks; choose two of one benchmark"
        )
    for name in first.tasks.keys() & second.tasks.keys():
        ours, theirs = first.tasks[name].subsets, second.tasks[name].subsets
        differing = [
            subset for subset in ours.keys() & theirs.keys() if ours[subset].sha256 != theirs[subset].sha256
        ]
        if differing or not ours.keys() & theirs.keys():
            which = shortened(sorted(differing)) if differing else "all subsets"
            raise InputError(
                f"--compare: found other examples of {name} ({which}) in {folders[1].name} than in "
                f"{folders[0].name}, expected the same data, split and limit; evaluate both on the same files"
            )


def _print(compared: list[ComparedMetric], first: str, second: str) -> None:
    console = plain_console(120, narrowest=80)
    console.print(f"A: {first}\nB: {second}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "metric", "A", "B", "B - A", "p", "McNemar p", "won", "lost"):
        table.add_column(heading, justify="left" if heading in ("", "metric") else "right")
    for each in compared:
        change = each.difference
        values = [shown(each.metric, value) for value in (each.first, each.second)]
        low, high = (shown(each.metric, value) for value in (change.low, change.high))
        cells = [f"{each.task} {printable(each.subset)}", NAMES.get(each.metric, each.metric), *values]
        cells += [f"{shown(each.metric, change.difference)} [{low}, {high}]", f"{change.p_value:.3f}"]
        cells.append("" if each.mcnemar_p is None else f"{each.mcnemar_p:.3g}")
        cells += (
            ["", ""] if each.flipped is None else [f"{len(each.flipped.won):,}", f"{len(each.flipped.lost):,}"]
        )
        table.add_row(*cells)
    console.print(table)
    for each in compared:
        if each.flipped is not None and (each.flipped.won or each.flipped.lost):
            won, lost = (
                shortened([str(row) for row in rows], _MAX_SHOWN) for rows in (each.flipped.won, each.flipped.lost)
            )
            console.print(
                f"{each.task} {printable(each.subset)} rows won: {won or 'none'}; lost: {lost or 'none'}",
                soft_wrap=True,
            )
    console.print("p: paired bootstrap, two-sided; McNemar's test is exact; won: only B has the row right")
