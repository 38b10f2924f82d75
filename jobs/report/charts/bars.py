"""Bars by language or another name, with intervals, published figures and the baseline."""

from jobs.report.charts.frame import (
    FILL,
    FONT_PX,
    INK,
    MARKS,
    MUTED,
    SHAPES,
    SUMMARY,
    Margins,
    Spec,
    axis,
    chart,
    domain,
    layer,
    plot_width,
    quantity,
    words,
)
from jobs.report.page import Bar, Bars, Column, Interval, Reference, Table
from jobs.report.text import decimal, finite, fitted, shortened, text_width

BAR_PX, GAP_PX, MARK_PX = 12, 10, 12
MAX_LABEL_SHARE = 0.36
"""The most of a picture's width that names take."""


def spec(block: Bars, width: int) -> Spec:
    """A row for each bar: its name, the bar with its interval, the marks of the references below it, its value."""
    rows = [{"row": index, **_row(bar, block.decimals)} for index, bar in enumerate(block.bars)]
    margins = _margins(block, width)
    for row in rows:
        row["name"] = fitted(str(row["name"]), FONT_PX, margins.left - 10)
    row_px = BAR_PX + GAP_PX + (MARK_PX if block.references else 0)
    shift = -MARK_PX / 2 if block.references else 0
    scale = domain(_values(block), block.domain)
    room = plot_width(width, margins)
    ticks = axis(scale["domain"], min(6, max(2, room // 70)), is_whole=block.decimals == 0)
    layers = [
        _bars([row for row in rows if row["value"] is not None], scale, shift, ticks),
        *_whiskers([row for row in rows if row["low"] is not None], shift),
        *_baseline(block),
        *(_marks(block, index) for index in range(len(block.references))),
        _column(rows, "name", {"align": "right", "yOffset": shift}, -10),
        _column(rows, "text", {"align": "left", "yOffset": shift}, room + 8),
        words(fitted(block.measure, FONT_PX, width - margins.left), 0, -12),
    ]
    result = chart(layers, width, row_px * len(rows), margins)
    result["encoding"] = {
        "y": {
            "field": "row",
            "type": "ordinal",
            "axis": None,
            "scale": {"domain": [row["row"] for row in rows], "padding": 0},
        }
    }
    return result


def figures(block: Bars) -> Table:
    """The same figures as a table."""
    others = [*block.references, *([block.baseline] if block.baseline else [])]
    names = [block.measure, "95 % interval", *(other.name for other in others)]
    columns = [Column(block.category), *(Column(name, is_numeric=True) for name in names)]
    rows = [
        (
            bar.name,
            decimal(bar.value, block.decimals),
            interval_text(bar.interval, block.decimals),
            *(decimal(other.values.get(bar.name), block.decimals) for other in others),
        )
        for bar in block.bars
    ]
    return Table(block.title, columns, rows)


def description(block: Bars) -> str:
    """The picture in a sentence."""
    known = [(bar.value, bar.name) for bar in block.bars if finite(bar.value) is not None]
    if not known:
        return f"Bar chart of {block.measure}: no values."
    (low, low_name), (high, high_name) = min(known), max(known)
    return (
        f"Bar chart of {block.measure}: {len(block.bars)} bars, from {decimal(low, block.decimals)} "
        f"({shortened(low_name, 40)}) to {decimal(high, block.decimals)} ({shortened(high_name, 40)})."
    )


def interval_text(interval: Interval | None, decimals: int) -> str | None:
    """An interval as a cell of a table."""
    return None if interval is None else f"{decimal(interval[0], decimals)} to {decimal(interval[1], decimals)}"


def _row(bar: Bar, decimals: int) -> Spec:
    low, high = map(finite, bar.interval or (None, None))
    has_interval = low is not None and high is not None
    return {
        "name": bar.name,
        "value": finite(bar.value),
        "low": low if has_interval else None,
        "high": high,
        "text": decimal(bar.value, decimals),
        "colour": SUMMARY if bar.is_summary else FILL,
    }


def _values(block: Bars) -> list[float | None]:
    """All that the axis must hold."""
    others = [*block.references, *([block.baseline] if block.baseline else [])]
    values = [bar.value for bar in block.bars] + [end for bar in block.bars for end in bar.interval or ()]
    values += [other.values.get(bar.name) for other in others for bar in block.bars]
    return [finite(value) for value in values]


def _margins(block: Bars, width: int) -> Margins:
    names = max((text_width(bar.name, FONT_PX) for bar in block.bars), default=0)
    texts = max((text_width(decimal(bar.value, block.decimals), FONT_PX) for bar in block.bars), default=0)
    left = min(int(names) + 14, int(width * MAX_LABEL_SHARE))
    return Margins(left=max(left, 24), right=int(texts) + 14, top=24, bottom=24)


def _bars(rows: list[Spec], scale: Spec, shift: float, ticks: Spec) -> Spec:
    mark = {"type": "bar", "height": BAR_PX, "yOffset": shift}
    return layer(
        mark,
        rows,
        x=quantity("value", scale=scale, axis=ticks),
        color={"field": "colour", "type": "nominal", "scale": None, "legend": None},
    )


def _whiskers(rows: list[Spec], shift: float) -> list[Spec]:
    rule = {"type": "rule", "color": INK, "strokeWidth": 1.5, "yOffset": shift}
    tick = {"type": "tick", "color": INK, "thickness": 1.5, "size": 7, "orient": "vertical", "yOffset": shift}
    return [
        layer(rule, rows, x=quantity("low"), x2={"field": "high"}),
        layer(tick, rows, x=quantity("low")),
        layer(tick, rows, x=quantity("high")),
    ]


def _baseline(block: Bars) -> list[Spec]:
    """A dashed line through each row; where the baseline is the same in all rows, these are one line."""
    if block.baseline is None:
        return []
    mark = {"type": "rule", "color": MUTED, "strokeDash": [3, 3], "strokeWidth": 1.5}
    row = {"field": "row", "type": "ordinal"}
    points = _points(block, block.baseline)
    return [
        layer(
            mark, points, x=quantity("value"), y={**row, "bandPosition": 0}, y2={"field": "row", "bandPosition": 1}
        )
    ]


def _marks(block: Bars, index: int) -> Spec:
    mark = {
        "type": "point",
        "shape": SHAPES[index % len(SHAPES)],
        "color": MARKS[index % len(MARKS)],
        "size": 45,
        "strokeWidth": 1.75,
        "yOffset": MARK_PX / 2 + 1,
    }
    return layer(mark, _points(block, block.references[index]), x=quantity("value"))


def _points(block: Bars, reference: Reference) -> list[Spec]:
    """The figures of a reference, with the rows that they belong to."""
    values = [finite(reference.values.get(bar.name)) for bar in block.bars]
    return [{"row": row, "value": value} for row, value in enumerate(values) if value is not None]


def _column(rows: list[Spec], field: str, mark: Spec, x: float) -> Spec:
    return layer({"type": "text", "color": INK, **mark}, rows, text={"field": field}, x={"value": x})
