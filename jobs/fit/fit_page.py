"""The report of a fitted head: what was kept and why, its figures, and what was tried."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jobs.evaluate.metrics.calibration import Calibration
from jobs.evaluate.results import Figure
from jobs.evaluate.tables import AS_THEY_ARE, NAMES, shown
from jobs.fit.labels.splits import PARTS
from jobs.fit.search.candidates import Candidate, layers_text
from jobs.fit.search.fit_result import FitResult, to_json
from jobs.report.page import (
    Bar,
    Bars,
    Block,
    CalibrationBin,
    Cell,
    Column,
    Matrix,
    Page,
    Prose,
    Reference,
    Reliability,
    Section,
    Table,
)
from jobs.report.render import render_page

_MAX_LABELS = 40
_OVERALL = "all rows"


def write_report(directory: Path, name: str, result: FitResult, facts: Sequence[tuple[str, str]] = ()) -> None:
    """Write `report.html` and `report.json`.

    Args:
        name: of the head, for the title.
        facts: more pairs of name and value for the head of the page, such as the command and the time.
    """
    content = json.dumps(to_json(result), indent=2, ensure_ascii=False, allow_nan=False)
    (directory / "report.json").write_text(content + "\n", encoding="utf-8")
    (directory / "report.html").write_text(render_page(fit_page(name, result, facts)), encoding="utf-8")


def fit_page(name: str, result: FitResult, facts: Sequence[tuple[str, str]] = ()) -> Page:
    """The page of a head."""
    options = result.options
    more = [
        ("kept", result.chosen.name),
        ("intervals", f"95 %, bootstrap of {options.num_resamples:,} resamples, seed {options.seed}"),
        ("time", ", ".join(f"{step}: {seconds:,.1f} s" for step, seconds in result.seconds.items())),
    ]
    sections = [
        Section("Head", "head", [_head(result)]),
        Section("Test part", "test", list(_test(result))),
        Section("Heads tried", "tried", list(_tried(result))),
        Section("Rows", "rows", list(_rows(result))),
    ]
    if result.curve is not None:
        sections.insert(3, Section("More labels", "curve", list(_curve(result))))
    return Page(f"Head {name}", "Fitted on the frozen trunk", [*facts, *more], sections)


def _head(result: FitResult) -> Table:
    head = result.head
    rows: list[list[Cell]] = [
        ["reads", f"{layers_text(head.layers)}, pooling {head.pooling}"],
        [
            "dense layers",
            " to ".join(str(weight.shape[1]) for weight, _ in head.dense) + f" to {len(result.names)}",
        ],
        ["parameters", head.num_parameters],
        ["temperature", f"{head.temperature:.3f}"],
        ["labels", ", ".join(result.names)],
    ]
    if result.mix_weights:
        weights = zip(head.layers, result.mix_weights, strict=True)
        rows.append(["shares of layers", ", ".join(f"{layer}: {100 * share:.0f} %" for layer, share in weights)])
    caption = (
        "The simplest of all heads tried whose metric on the part “choose” is within one standard error of the "
        "best. Figures of the test part are of this head alone."
    )
    return Table("Kept", [Column(""), Column("value")], rows, caption)


def _test(result: FitResult) -> Iterator[Block]:
    test = result.test
    for metric, figure in test.overall.items():
        named = {_OVERALL: figure} | {name: found.figures[metric] for name, found in test.languages.items()}
        listed = {_OVERALL: test.word_list[metric]} if test.word_list else {}
        yield _bars(metric, named, {_OVERALL: test.baseline[metric]}, listed)
    yield _figures(result)
    if test.labels:
        yield _labels(result)
    if test.confusion and len(result.names) <= _MAX_LABELS:
        yield Matrix("Confusion of labels", result.names, test.confusion, "Rows: gold. Columns: predicted.")
    if test.calibrated is not None and test.uncalibrated is not None:
        yield _reliability(test.calibrated, test.uncalibrated, result.head.temperature)


def _bars(
    metric: str, figures: Mapping[str, Figure], baseline: Mapping[str, float], word_list: Mapping[str, float]
) -> Bars:
    by, name = _scale(metric), _name(metric)
    bars = [
        Bar(row, by * figure.value, (by * figure.low, by * figure.high), row == _OVERALL)
        for row, figure in figures.items()
    ]
    is_share = by == 100 and all(figure.low >= 0 for figure in figures.values())
    return Bars(
        title=name[:1].upper() + name[1:],
        measure=f"{name}, %" if by == 100 else name,
        bars=bars,
        references=[Reference("list of the words fitted on", _scaled(word_list, by))] if word_list else [],
        baseline=Reference("shares of labels alone", _scaled(baseline, by)),
        domain=(0.0, 100.0) if is_share else None,
        decimals=1 if by == 100 else 3,
    )


def _scaled(values: Mapping[str, float], by: float) -> dict[str, float]:
    return {name: by * value for name, value in values.items()}


def _figures(result: FitResult) -> Table:
    test, metrics = result.test, list(result.test.overall)
    columns = [Column("language"), Column("rows", is_numeric=True, decimals=0)]
    for metric in metrics:
        columns += [Column(_name(metric), is_numeric=True), Column("95 % interval")]
    lines = [(_OVERALL, test.num_rows, test.overall)]
    lines += [(name, found.num_rows, found.figures) for name, found in test.languages.items()]
    rows = []
    for name, num_rows, figures in lines:
        cells: list[Cell] = [name, num_rows]
        for metric in metrics:
            cells += [shown(metric, figures[metric].value), _interval(metric, figures[metric])]
        rows.append(cells)
    return Table("Figures", columns, rows)


def _labels(result: FitResult) -> Table:
    names = ("precision", "recall", "F1")
    columns = [Column("label"), *(Column(name, is_numeric=True) for name in names), Column("95 % interval of F1")]
    columns += [Column(name, is_numeric=True, decimals=0) for name in ("rows", "predicted")]
    rows: list[list[Cell]] = [
        [
            label.name,
            100 * label.precision,
            100 * label.recall,
            100 * label.f1.value,
            _interval("f1", label.f1),
            label.support,
            label.num_predicted,
        ]
        for label in result.test.labels
    ]
    return Table("By label", columns, rows)


def _reliability(calibrated: Calibration, uncalibrated: Calibration, temperature: float) -> Reliability:
    bins = [CalibrationBin(each.mean_score, each.accuracy, each.num_rows) for each in calibrated.bins]
    caption = (
        f"With the temperature of {temperature:.3f}, taken on the part “calibrate”; without it the error is "
        f"{uncalibrated.expected_error:.3f}."
    )
    return Reliability("Reliability of scores", bins, calibrated.expected_error, caption)


def _tried(result: FitResult) -> Iterator[Block]:
    if result.probe is not None:
        probe = result.probe
        kept = f"Worth keeping: {', '.join(map(str, probe.worth_keeping))}."
        title = f"All layers, probed on {probe.num_rows:,} rows"
        yield _by_layer(title, probe.metric, probe.layers, kept)
    linear = [each for each in result.candidates if each.kind == "linear" and len(each.layers) == 1]
    if len({each.layers for each in linear}) > 1:
        best = {each.layers: each for each in sorted(linear, key=lambda each: each.metric)}
        yield _by_layer("Best linear head of each layer", result.metric, [best[key] for key in sorted(best)])
    columns = [Column("head"), Column("penalty"), Column(_name(result.metric), is_numeric=True)]
    columns += [Column("standard error", is_numeric=True, decimals=2), Column("loss", is_numeric=True, decimals=4)]
    columns += [Column(name, is_numeric=True, decimals=0) for name in ("parameters", "passes")]
    columns += [Column("seconds", is_numeric=True)]
    ordered = sorted(result.candidates, key=lambda each: (-each.metric, each.loss))
    caption = f"Measured on the part “choose”, {result.parts['choose']:,} rows."
    if any(each.kind == "mlp" for each in result.candidates):
        options = result.options
        caption += (
            f" Hidden layers of {options.hidden_size} units: Adam, seed {options.seed}, at most "
            f"{options.max_epochs} passes, stopped after {options.patience} without a lesser loss on that part."
        )
    yield Table("Heads", columns, [_candidate(each, result) for each in ordered], caption)


def _candidate(candidate: Candidate, result: FitResult) -> list[Cell]:
    by = _scale(result.metric)
    mark = " (kept)" if candidate == result.chosen else ""
    return [
        candidate.name + mark,
        f"{candidate.penalty:.0e}",
        by * candidate.metric,
        by * candidate.standard_error,
        candidate.loss,
        candidate.num_parameters,
        candidate.num_passes,
        candidate.seconds,
    ]


def _by_layer(title: str, metric: str, candidates: Sequence[Candidate], caption: str = "") -> Bars:
    by, name = _scale(metric), _name(metric)
    bars = [
        Bar(
            layers_text(each.layers),
            by * each.metric,
            (by * (each.metric - 1.96 * each.standard_error), by * (each.metric + 1.96 * each.standard_error)),
        )
        for each in candidates
    ]
    caption = f"On rows that the head was chosen by. {caption}".strip()
    return Bars(title, f"{name}, %" if by == 100 else name, bars, category="layer", caption=caption)


def _curve(result: FitResult) -> Iterator[Block]:
    assert result.curve is not None
    metric, by = result.metric, _scale(result.metric)
    bars = [
        Bar(
            f"{point.num_rows:,} rows",
            by * point.figure.value,
            (by * point.figure.low, by * point.figure.high),
        )
        for point in result.curve.points
    ]
    measure = f"{_name(metric)}, %" if by == 100 else _name(metric)
    yield Bars("The kept head on fewer rows", measure, bars, category="rows", caption="On the part “choose”.")
    yield Prose(result.curve.outlook)


def _rows(result: FitResult) -> Iterator[Block]:
    columns = [Column("label"), *(Column(part, is_numeric=True, decimals=0) for part in PARTS)]
    rows: list[list[Cell]] = [["all", *(result.parts[part] for part in PARTS)]]
    rows += [
        [name, *(result.label_rows[part][name] for part in PARTS)]
        for name in result.names
        if name in result.label_rows["fit"]
    ]
    yield Table("Parts", columns, rows)
    found: list[list[Cell]] = [
        [part, each.num_rows, each.num_found, ", ".join(f"{a} and {b}" for a, b, _ in each.examples)]
        for part, each in result.duplicates.items()
    ]
    columns = [
        Column("part"),
        *(Column(name, is_numeric=True, decimals=0) for name in ("rows", "near duplicates")),
    ]
    caption = (
        f"Rows whose standardised features have a cosine of {result.options.duplicate_cosine} or more with a row "
        "that was fitted on: figures on them flatter. A group column keeps such rows in one part."
    )
    yield Table("Near duplicates of fitted rows", [*columns, Column("nearest pairs of rows")], found, caption)


def _name(metric: str) -> str:
    return NAMES.get(metric, metric.replace("_", " "))


def _scale(metric: str) -> float:
    return 1.0 if metric in AS_THEY_ARE else 100.0


def _interval(metric: str, figure: Figure) -> str:
    return f"{shown(metric, figure.low)} to {shown(metric, figure.high)}"
