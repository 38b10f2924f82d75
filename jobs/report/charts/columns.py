"""What charts along a horizontal axis share: points with intervals, columns of counts, edges of bins."""

from collections.abc import Sequence

from jobs.report.charts.frame import FILL, FONT_PX, INK, MUTED, SUMMARY, Margins, Spec, layer, quantity
from jobs.report.page import Bin, Interval
from jobs.report.text import finite, limit, short_number, text_width

PLOT_PX, STRIP_PX, STRIP_GAP_PX = 200, 40, 36
"""Heights of the plot, of the columns of counts below it, and of what is between them."""
COUNT_PX = 10.5
INDEPENDENT_Y: Spec = {"resolve": {"scale": {"y": "independent"}}}
"""Scores and counts have vertical axes of their own."""
MARGINS = Margins(left=46, right=22, top=28, bottom=44)


def point(value: float | None, interval: Interval | None) -> Spec:
    """A value and its interval as data."""
    low, high = map(finite, interval or (None, None))
    return {"value": finite(value), "low": low, "high": high}


def curve(points: Sequence[Spec], x: Spec, y: Spec, shape: str = "circle") -> list[Spec]:
    """Points joined by a line where neighbours are known, with a whisker for each interval."""
    with_interval = [item for item in points if item["low"] is not None and item["high"] is not None]
    scaled = {"x": x, "y": {**y, "field": "value"}}
    rule = {"type": "rule", "color": INK, "strokeWidth": 1.5}
    tick = {"type": "tick", "color": INK, "thickness": 1.5, "size": 7, "orient": "horizontal"}
    return [
        layer(
            {"type": "line", "color": SUMMARY, "strokeWidth": 1.5, "invalid": "break-paths-show-domains"},
            points,
            **scaled,
        ),
        layer(rule, with_interval, x=x, y={**y, "field": "low"}, y2={"field": "high"}),
        layer(tick, with_interval, x=x, y={**y, "field": "low"}),
        layer(tick, with_interval, x=x, y={**y, "field": "high"}),
        layer({"type": "point", "shape": shape, "filled": True, "color": SUMMARY, "size": 55}, points, **scaled),
    ]


def columns(counts: Sequence[Spec], y: Spec, column_px: float) -> list[Spec]:
    """A column for each count from `left` to `right`, with the count above it where all counts fit."""
    texts = [{**count, "text": short_number(count["count"])} for count in counts]
    place = {"x": quantity("left"), "y": {**y, "field": "count"}}
    layers = [layer({"type": "rect", "color": FILL}, counts, **place, x2={"field": "right"}, y2={"datum": 0})]
    if all(text_width(text["text"], COUNT_PX) < column_px for text in texts):
        mark = {"type": "text", "color": MUTED, "align": "center", "fontSize": COUNT_PX, "yOffset": -8}
        layers.append(layer(mark, texts, **(place | {"x": quantity("x")}), text={"field": "text"}))
    return layers


def edges(bins: Sequence[Bin], width: int, y: float) -> list[Spec]:
    """The limits of bins that are drawn equally wide, as many of them as there is room for."""
    ends = [bin_.low for bin_ in bins] + [bin_.high for bin_ in bins[-1:]]
    texts = ["∞" if end is None else limit(end) for end in ends]
    column_px = width / max(1, len(bins))
    step = 1
    while step * column_px < max(text_width(text, FONT_PX) for text in texts or [""]) + 4:
        step += 1
    shown = [{"x": index, "text": text} for index, text in enumerate(texts) if index % step == 0]
    mark = {"type": "text", "color": MUTED, "align": "center"}
    return [layer(mark, shown, x=quantity("x"), y={"value": y + 14}, text={"field": "text"})]
