"""What all charts share: their sizes, their colours, and the parts of a Vega-Lite specification.

Margins are given and texts are fitted here, so that no part of a layout depends on the fonts of the machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
"""A Vega-Lite specification or a part of one."""

WIDE, NARROW = 680, 328
"""Widths in pixels at which a chart is drawn: for screens and paper, and for phones."""
FONT_PX = 12.0
# Stand-ins of colours in a specification; the style sheet has their values in light and dark.
INK, MUTED, GRID, FILL, SUMMARY = "#000001", "#000002", "#000003", "#000004", "#000005"
MARKS = ("#000006", "#000007", "#000008", "#000009")
COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    FILL: "var(--fill)",
    SUMMARY: "var(--summary)",
} | {colour: f"var(--mark-{index})" for index, colour in enumerate(MARKS)}
SHAPES = ("diamond", "triangle-up", "circle", "square")
"""Shapes of marks, in step with their colours, so that nobody needs to tell colours apart."""


@dataclass(frozen=True)
class Margins:
    """Room around the plot in pixels, for labels and titles."""

    left: int
    right: int
    top: int
    bottom: int


def chart(layers: Sequence[Spec], width: int, height: int, margins: Margins) -> Spec:
    """A specification of layers; `width` is that of the whole picture, `height` that of the plot in it."""
    return {
        "autosize": {"type": "none"},
        "padding": vars(margins),
        "width": plot_width(width, margins),
        "height": height,
        "background": None,
        "layer": list(layers),
        "config": {
            "view": {"stroke": None},
            "axis": {
                "domain": False,
                "gridColor": GRID,
                "labelColor": MUTED,
                "labelFlush": False,
                "labelFontSize": FONT_PX,
                "labelPadding": 6,
                "ticks": False,
            },
            "point": {"opacity": 1},
            "tick": {"opacity": 1},
            "text": {"fontSize": FONT_PX, "color": INK, "baseline": "middle"},
        },
    }


def plot_width(width: int, margins: Margins) -> int:
    """What margins leave of the width."""
    return width - margins.left - margins.right


def layer(mark: Spec, data: Sequence[Spec], **encoding: Any) -> Spec:
    """Marks of one kind, one for each item of the data."""
    return {"data": {"values": list(data)}, "mark": mark, "encoding": encoding}


def words(text: str, x: float, y: float, **mark: Any) -> Spec:
    """One text at a place in pixels from the plot's upper left corner."""
    return layer(
        {"type": "text", "color": MUTED, "align": "left", **mark},
        [{"text": text}],
        text={"field": "text"},
        x={"value": x},
        y={"value": y},
    )


def quantity(field: str, **more: Any) -> Spec:
    """A position by a number. Layers share their axis: it is enough that one of them says what it is like."""
    return {"field": field, "type": "quantitative", "title": None, **more}


def axis(values: Sequence[float | None], num_ticks: int, *, is_whole: bool = False) -> Spec:
    """An axis with a grid; large numbers have short labels. `is_whole`: what is counted comes in whole numbers."""
    greatest = max((abs(value) for value in values if value is not None), default=0)
    # In place of 0k, which Vega would write.
    short = {"format": "~s", "labelExpr": "datum.value === 0 ? '0' : datum.label"} if greatest >= 5_000 else {}
    # Vega would also write halves of a few.
    few = {"values": [*range(int(greatest) + 1)], "format": "d"} if is_whole and greatest <= num_ticks else {}
    return {"tickCount": num_ticks, "grid": True, **few, **short}


def domain(values: Sequence[float | None], given: tuple[float, float] | None) -> Spec:
    """The scale of an axis: the given range, or a round one from 0 that holds all values."""
    if given is not None:
        return {"domain": list(given), "clamp": True}
    known = [value for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    return {"domain": [low, high if high > low else low + 1], "nice": True}
