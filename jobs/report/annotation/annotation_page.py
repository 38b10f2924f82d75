"""The page of an annotation: sizes, calls, lengths, errors, and labels and scores of each head."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from jobs.report.annotation.figures import LENGTHS, Figures, HeadFigures
from jobs.report.page import Bar, Bars, Bin, Block, Cell, Column, Histogram, Page, Prose, Section, Table
from pipeline.output.call_history import CallRecord
from pipeline.output.status import Status
from pipeline.storage.printable import number_of

QUANTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
"""In percent."""
_MAX_BARS, _MAX_CALLS, _MAX_LANGUAGES, _MAX_FAILURES = 40, 60, 40, 200


def annotation_page(name: str, status: Status, calls: Sequence[CallRecord], figures: Figures) -> Page:
    """The page of the output at `name`."""
    facts = [
        ("state", status.state),
        ("rows", f"{figures.num_rows:,} in {number_of(figures.num_parts, 'part')}"),
        ("tokens", f"{figures.num_tokens:,} in {number_of(figures.num_windows, 'window')}"),
        ("rows with errors", f"{figures.num_errors:,}"),
    ]
    if calls:
        facts += [("cost per million tokens", f"{price:,.4g}") for price in [_price(calls)] if price is not None]
        facts.append(("versions", ", ".join(f"{key} {value}" for key, value in calls[-1].versions.items())))
    sections = [
        Section("Calls of the command", "calls", list(_calls(calls))),
        Section("Lengths", "lengths", list(_lengths(figures))),
        Section("Errors", "errors", list(_errors(status, figures))),
        *(
            Section(head, f"head-{number}", list(_head(each, figures)))
            for number, (head, each) in enumerate(figures.heads.items())
        ),
    ]
    return Page(f"Annotation of {name}", "", facts, sections)


def _calls(calls: Sequence[CallRecord]) -> Iterator[Block]:
    if not calls:
        yield Prose("No calls are recorded: the output was made by an earlier version.")
        return
    shown = calls[-_MAX_CALLS:]
    rates = [Bar(_moment(call.begin)[5:], _rate(call)) for call in shown if _rate(call) is not None]
    if rates:
        yield Bars("Tokens through the trunk", "tokens/s, start included", rates, category="call", decimals=0)
    names = ("begin (UTC)", "rows", "rows with errors", "tokens through the trunk", "seconds", "exit code", "host")
    columns = [Column(name, is_numeric=name not in ("begin (UTC)", "host")) for name in names]
    has_price = any(_price([call]) is not None for call in shown)
    if has_price:
        columns.append(Column("cost per million tokens", is_numeric=True, decimals=4))
    rows: list[list[Cell]] = [
        [
            _moment(call.begin),
            call.counts.num_rows,
            call.counts.num_errors,
            call.counts.num_trunk_tokens,
            round(duration_s(call)),
            call.exit_code,
            call.host,
            *([_price([call])] if has_price else []),
        ]
        for call in shown
    ]
    yield Table("Calls", columns, rows, "Calls without an exit code go on, or were killed.")


def _moment(time: str) -> str:
    """A recorded time to the second, so that it is short and can be broken at its space."""
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M:%S")


def duration_s(call: CallRecord) -> float:
    """How long a call took, or had taken when it told so last."""
    begin, end = (datetime.fromisoformat(time) for time in (call.begin, call.end or call.updated))
    return max(0.0, (end - begin).total_seconds())


def _rate(call: CallRecord) -> float | None:
    seconds = duration_s(call)
    return call.counts.num_trunk_tokens / seconds if seconds and call.counts.num_trunk_tokens else None


def _price(calls: Sequence[CallRecord]) -> float | None:
    """Cost per million tokens of the calls that know the price of an hour; None if there are none with tokens."""
    priced = [(call, call.cost_per_hour) for call in calls if call.cost_per_hour is not None]
    num_tokens = sum(call.counts.num_trunk_tokens for call, _ in priced)
    if not num_tokens:
        return None
    return sum(duration_s(call) / 3600 * per_hour for call, per_hour in priced) / num_tokens * 1e6


def _lengths(figures: Figures) -> Iterator[Block]:
    ends: list[float | None] = [*LENGTHS[1:], None]
    bins = [Bin(low, end, int(n)) for low, end, n in zip(LENGTHS, ends, figures.lengths, strict=True)]
    while len(bins) > 1 and bins[-1].count == 0:
        bins.pop()
    yield Histogram("Rows by length", "tokens", bins)
    if figures.languages:
        yield _counts(
            f"Rows by {figures.language_column}", "rows", dict(figures.languages.most_common(_MAX_LANGUAGES))
        )


def _errors(status: Status, figures: Figures) -> Iterator[Block]:
    if figures.errors:
        yield _counts("Rows with an error", "rows", {str(kind): n for kind, n in figures.errors.items()}, "kind")
    else:
        yield Prose("No row has an error.")
    columns = [
        Column(name, is_numeric=name in ("first row", "rows"))
        for name in ("file", "first row", "rows", "stage", "reason")
    ]
    failures: list[list[Cell]] = [
        [failure.input_path, failure.first_row, failure.num_rows, failure.stage, failure.reason]
        for failure in status.failures[:_MAX_FAILURES]
    ]
    if status.last_call is not None and status.state != "complete":
        failures += [[path, None, None, "plan", why] for path, why in status.last_call.failed_files.items()]
    if failures:
        yield Table("Failed files and fragments", columns, failures)


def _head(head: HeadFigures, figures: Figures) -> Iterator[Block]:
    task = f" ({head.column.task})" if head.column.task else ""
    yield Prose(f"{head.num_rows:,} of {number_of(figures.num_rows, 'row')} have a value{task}.")
    if head.labels:
        yield _counts("Labels", "times", dict(head.labels.most_common(_MAX_BARS)), "label")
    if head.labels_by_language:
        yield _by_language(head, figures)
    if head.scores:
        yield from _quantiles(head)


def _by_language(head: HeadFigures, figures: Figures) -> Table:
    labels = [label for label, _ in head.labels.most_common(10)]
    rows: list[list[Cell]] = [
        [language, *(head.labels_by_language[language][label] for label in labels)]
        for language, _ in figures.languages.most_common(_MAX_LANGUAGES)
        if language in head.labels_by_language
    ]
    columns = [Column(str(figures.language_column)), *(Column(label, is_numeric=True) for label in labels)]
    return Table(f"Labels by {figures.language_column}", columns, rows)


def _quantiles(head: HeadFigures) -> Iterator[Block]:
    scores = np.concatenate(head.scores)
    if not len(scores):
        return
    assert head.column.score is not None
    name = ".".join((head.column.name, *head.column.score))
    rows: list[list[Cell]] = [
        [f"{percent} %", float(value)]
        for percent, value in zip(QUANTILES, np.percentile(scores, QUANTILES), strict=True)
    ]
    sample = "" if len(scores) == head.num_scores else f", from {len(scores):,} of {head.num_scores:,} values"
    yield Table(
        f"Quantiles of {name}",
        [Column("share of the values at or below"), Column(name, is_numeric=True, decimals=4)],
        rows,
        f"Thresholds to filter by{sample}.",
    )


def _counts(title: str, measure: str, counts: dict[str, int], category: str = "language") -> Bars:
    return Bars(title, measure, [Bar(name, n) for name, n in counts.items()], category=category, decimals=0)
