"""A chart as it stands in the page: its pictures, its legend and its figures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from jobs.report.charts import bars, bins, matrix, reliability
from jobs.report.charts.frame import MARKS, NARROW, SHAPES, WIDE, Spec
from jobs.report.charts.svg import to_svg
from jobs.report.page import Bars, Binned, Chart, Histogram, Matrix, Reliability, Table


@dataclass(frozen=True)
class LegendEntry:
    """A mark of the legend by its shape and the number of its colour, and what it stands for."""

    shape: str
    colour: int
    name: str


@dataclass(frozen=True)
class Drawing:
    """A chart, drawn: one picture, or one for wide and one for narrow screens; none where it would say nothing."""

    pictures: tuple[Markup, ...]
    legend: tuple[LegendEntry, ...]
    figures: Table


def draw(block: Chart) -> Drawing:
    """The pictures of a chart with the same figures as a table."""
    legend = _legend(block) if isinstance(block, Bars) else ()
    spec, figures, description = _functions(block)
    label = f"{block.title}. {description(block)}"
    table = figures(block)
    if not table.rows or (isinstance(block, Matrix) and len(block.labels) > matrix.MAX_LABELS):
        return Drawing((), legend, table)
    wide, narrow = spec(block, WIDE), spec(block, NARROW)
    if wide == narrow:
        return Drawing((to_svg(wide, label, "picture"),), legend, table)
    pictures = (to_svg(wide, label, "picture wide"), to_svg(narrow, label, "picture narrow"))
    return Drawing(pictures, legend, table)


def _functions(
    block: Chart,
) -> tuple[Callable[[Any, int], Spec], Callable[[Any], Table], Callable[[Any], str]]:
    """Specification, figures and description of this kind of chart."""
    match block:
        case Bars():
            return bars.spec, bars.figures, bars.description
        case Matrix():
            return matrix.spec, matrix.figures, matrix.description
        case Reliability():
            return reliability.spec, reliability.figures, reliability.description
        case Binned():
            return bins.binned, bins.binned_figures, bins.binned_description
        case Histogram():
            return bins.histogram, bins.histogram_figures, bins.histogram_description


def _legend(block: Bars) -> tuple[LegendEntry, ...]:
    entries = [
        LegendEntry(SHAPES[index % len(SHAPES)], index % len(MARKS), reference.name)
        for index, reference in enumerate(block.references)
    ]
    if any(bar.interval for bar in block.bars):
        entries.insert(0, LegendEntry("interval", 0, "95 % interval"))
    if block.baseline is not None:
        entries.append(LegendEntry("baseline", 0, block.baseline.name))
    return tuple(entries)
