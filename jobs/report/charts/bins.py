"""A histogram, and a score by bin with the number of rows below."""

from collections.abc import Sequence

from jobs.report.charts.bars import interval_text
from jobs.report.charts.columns import (
    INDEPENDENT_Y,
    MARGINS,
    PLOT_PX,
    STRIP_GAP_PX,
    STRIP_PX,
    columns,
    curve,
    edges,
    point,
)
from jobs.report.charts.frame import FONT_PX, Spec, axis, chart, domain, plot_width, quantity, words
from jobs.report.page import Bin, Binned, Column, Histogram, Table
from jobs.report.text import decimal, finite, fitted, limit, number


def histogram(block: Histogram, width: int) -> Spec:
    """A column for each bin, as high as its number of rows."""
    room = plot_width(width, MARGINS)
    scale = domain([bin_.count for bin_ in block.bins], None)
    y = quantity("count", scale=scale, axis=axis(scale["domain"], 5, is_whole=True))
    layers = [
        *columns(_counts(block.bins), y, room / max(1, len(block.bins))),
        *edges(block.bins, room, PLOT_PX),
        words("rows", -40, -18),
        words(fitted(block.binned_by, FONT_PX, room), room, PLOT_PX + 34, align="right"),
    ]
    return _along_bins(chart(layers, width, PLOT_PX, MARGINS), block.bins)


def binned(block: Binned, width: int) -> Spec:
    """A point with its interval for each bin; below, a column with its number of rows."""
    room, height = plot_width(width, MARGINS), PLOT_PX + STRIP_GAP_PX + STRIP_PX
    points = [{"x": index + 0.5, **point(bin_.value, bin_.interval)} for index, bin_ in enumerate(block.bins)]
    scale = domain([item[name] for item in points for name in ("value", "low", "high")], block.domain)
    y = quantity("value", scale={**scale, "range": [PLOT_PX, 0]}, axis=axis(scale["domain"], 5))
    most = max((bin_.count for bin_ in block.bins), default=0)
    strip = quantity(
        "count", scale={"domain": [0, max(1, int(most))], "range": [height, height - STRIP_PX]}, axis=None
    )
    layers = [
        {"layer": curve(points, quantity("x"), y)},
        {"layer": columns(_counts(block.bins), strip, room / max(1, len(block.bins)))},
        *edges(block.bins, room, height),
        words(fitted(block.measure, FONT_PX, room), -40, -18),
        words("rows", -8, height - 8, align="right"),
        words(fitted(block.binned_by, FONT_PX, room), room, height + 34, align="right"),
    ]
    return _along_bins(chart(layers, width, height, MARGINS), block.bins) | INDEPENDENT_Y


def histogram_figures(block: Histogram) -> Table:
    """The numbers of rows as a table."""
    rows = [(_name(bin_), int(bin_.count)) for bin_ in block.bins]
    return Table(block.title, [Column(block.binned_by), Column("rows", is_numeric=True)], rows)


def binned_figures(block: Binned) -> Table:
    """Scores and numbers of rows as a table."""
    columns_ = [
        Column(block.binned_by),
        Column(block.measure, is_numeric=True),
        Column("95 % interval", is_numeric=True),
        Column("rows", is_numeric=True),
    ]
    rows = [
        (
            _name(bin_),
            decimal(bin_.value, block.decimals),
            interval_text(bin_.interval, block.decimals),
            int(bin_.count),
        )
        for bin_ in block.bins
    ]
    return Table(block.title, columns_, rows)


def histogram_description(block: Histogram) -> str:
    """The picture in a sentence."""
    total = number(int(sum(bin_.count for bin_ in block.bins)))
    if not block.bins:
        return f"Histogram of {block.binned_by}: no rows."
    fullest = max(block.bins, key=lambda bin_: bin_.count)
    return f"Histogram of {block.binned_by}: {total} rows in {len(block.bins)} bins, most in {_name(fullest)}."


def binned_description(block: Binned) -> str:
    """The picture in a sentence."""
    known = [bin_ for bin_ in block.bins if finite(bin_.value) is not None]
    if not known:
        return f"Chart of {block.measure} by {block.binned_by}: no values."
    first, last = (f"{decimal(bin_.value, block.decimals)} in {_name(bin_)}" for bin_ in (known[0], known[-1]))
    return f"Chart of {block.measure} by {block.binned_by}: from {first} to {last}."


def _along_bins(spec: Spec, bins: Sequence[Bin]) -> Spec:
    """Horizontally, bins are one unit wide each."""
    x = {"scale": {"domain": [0, max(1, len(bins))], "nice": False}, "axis": None, "type": "quantitative"}
    return spec | {"encoding": {"x": x}}


def _counts(bins: Sequence[Bin]) -> list[Spec]:
    return [
        {"x": index + 0.5, "left": index + 0.04, "right": index + 0.96, "count": int(bin_.count)}
        for index, bin_ in enumerate(bins)
    ]


def _name(bin_: Bin) -> str:
    """The rows that a bin holds, in words."""
    low = limit(bin_.low)
    high = finite(bin_.high)
    return f"{low} and more" if high is None else f"{low} to below {limit(high)}"
