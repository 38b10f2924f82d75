"""A reliability curve: how often predictions are right, by how sure the model is of them."""

from itertools import pairwise

from jobs.report.charts.bars import interval_text
from jobs.report.charts.columns import INDEPENDENT_Y, MARGINS, STRIP_GAP_PX, STRIP_PX, columns, curve, point
from jobs.report.charts.frame import MUTED, Spec, chart, layer, plot_width, quantity, words
from jobs.report.page import CalibrationBin, Column, Reliability, Table
from jobs.report.text import finite

SQUARE_PX = 300
"""The most that a side of the plot has."""


def spec(block: Reliability, width: int) -> Spec:
    """Accuracy against confidence, the diagonal as a dashed line; below, the number of rows in each bin."""
    side = min(SQUARE_PX, plot_width(width, MARGINS))
    height = side + STRIP_GAP_PX + STRIP_PX
    known = [bin_ for bin_ in block.bins if finite(bin_.confidence) is not None]
    points = [{"x": finite(bin_.confidence), **point(bin_.accuracy, bin_.interval)} for bin_ in known]
    unit = {"domain": [0, 1], "nice": False}
    axis = {"values": [0, 0.2, 0.4, 0.6, 0.8, 1], "grid": True, "format": ".1f"}
    x = quantity("x", scale=unit, axis={**axis, "grid": False})
    y = quantity("value", scale={**unit, "range": [side, 0]}, axis=axis)
    most = max((bin_.count for bin_ in known), default=0)
    strip = quantity(
        "count", scale={"domain": [0, max(1, int(most))], "range": [height, height - STRIP_PX]}, axis=None
    )
    ends = [{"x": end, "value": end} for end in (0, 1)]
    diagonal = layer({"type": "line", "color": MUTED, "strokeDash": [3, 3]}, ends, x=x, y=y)
    counts, column_px = _counts(known, side)
    layers = [
        {"layer": [diagonal, *curve(points, quantity("x"), y)]},
        {"layer": columns(counts, strip, column_px)},
        words("share that is right", -40, -18),
        words("rows", -8, height - 8, align="right"),
        words("confidence", side, height + 36, align="right"),
    ]
    total = side + MARGINS.left + MARGINS.right
    return chart(layers, total, height, MARGINS) | INDEPENDENT_Y


def figures(block: Reliability) -> Table:
    """The same figures as a table."""
    headings = [
        Column("confidence", is_numeric=True, decimals=3),
        Column("share that is right", is_numeric=True, decimals=3),
        Column("95 % interval", is_numeric=True),
        Column("rows", is_numeric=True),
    ]
    rows = [(b.confidence, b.accuracy, interval_text(b.interval, 3), int(b.count)) for b in block.bins]
    return Table(block.title, headings, rows)


def description(block: Reliability) -> str:
    """The picture in a sentence."""
    return (
        f"Reliability curve over {len(block.bins)} bins; the expected calibration error is "
        f"{block.calibration_error:.3f}."
    )


def _counts(bins: list[CalibrationBin], side: int) -> tuple[list[Spec], float]:
    """Columns around the confidences, as wide as the nearest neighbours allow, and that width in pixels."""
    centres = [float(bin_.confidence or 0) for bin_ in bins]
    ordered = sorted(centres)
    nearest = min((b - a for a, b in pairwise(ordered)), default=0.1)
    half = max(0.004, min(0.04, 0.45 * nearest))
    columns_ = [
        {"x": x, "left": max(0, x - half), "right": min(1, x + half), "count": int(bin_.count)}
        for x, bin_ in zip(centres, bins, strict=True)
    ]
    return columns_, nearest * side
