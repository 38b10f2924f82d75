"""A confusion matrix: counts, and each row's shares as shades."""

from collections.abc import Iterator
from itertools import product

from jobs.report.charts.frame import FONT_PX, INK, NARROW, SUMMARY, Margins, Spec, chart, layer, words
from jobs.report.page import Cell, Column, Matrix, Table
from jobs.report.text import fitted, number, percent, short_number, text_width

WIDEST_CELL_PX, HIGHEST_CELL_PX, SMALLEST_CELL_PX = 108, 52, 13
CELL_WITH_SHARE_PX, CELL_WITH_COUNT_PX = 44, 30
"""Widths of cells from which on shares and counts are written into them."""
MAX_LABELS = 40
"""With more labels than this there is no picture, but a list of the confusions that are most frequent."""
MAX_CONFUSIONS = 50
MAX_LABEL_PX, MAX_NARROW_LABEL_PX = 120, 106
TEXT_PX = 11
AXIS: Spec = {"type": "quantitative", "axis": None, "title": None}
DARKEST = 0.5
"""Opacity of the shade of 100 %, at which the ink on it still has the contrast that small text needs."""


def spec(block: Matrix, width: int) -> Spec:
    """A row for each gold label, a column for each predicted one; wider than `width` where labels are many."""
    num_labels = len(block.labels)
    widest = max((text_width(label, FONT_PX) for label in block.labels), default=0)
    label_px = min(MAX_LABEL_PX if width > NARROW else MAX_NARROW_LABEL_PX, 8 + int(widest))
    cell_px = max(SMALLEST_CELL_PX, min(WIDEST_CELL_PX, (width - label_px - 40) // max(1, num_labels)))
    height = min(HIGHEST_CELL_PX, cell_px) * num_labels
    is_upright = widest > cell_px - 6
    margins = Margins(left=label_px + 22, right=18, top=(label_px if is_upright else 16) + 28, bottom=8)
    layers = [
        *_cells(block, cell_px),
        *_labels(block, label_px, is_upright=is_upright),
        words("predicted", 0, 14 - margins.top),
        words("gold", 12 - margins.left, height, angle=270),
    ]
    return chart(layers, cell_px * num_labels + margins.left + margins.right, height, margins)


def figures(block: Matrix) -> Table:
    """Counts and shares of rows as a table; of very many labels the most frequent confusions."""
    if len(block.labels) > MAX_LABELS:
        return confusions(block)
    columns = [Column("gold"), *(Column(label, is_numeric=True) for label in block.labels)]
    rows = [
        (label, *(f"{count:,} ({_share(count, sum(counts)):.1%})".replace("%", " %") for count in counts))
        for label, counts in zip(block.labels, block.counts, strict=True)
    ]
    return Table(block.title, columns, rows)


def confusions(block: Matrix) -> Table:
    """What is most often taken for something else."""
    columns = [
        Column("gold"),
        Column("predicted"),
        Column("rows", is_numeric=True),
        Column("share of the gold label, %", is_numeric=True),
    ]
    num_labels = len(block.labels)
    wrong = [(gold, other) for gold, other in product(range(num_labels), repeat=2) if gold != other]
    wrong = [pair for pair in wrong if block.counts[pair[0]][pair[1]]]
    wrong.sort(key=lambda pair: -block.counts[pair[0]][pair[1]])
    rows: list[tuple[Cell, ...]] = []
    for gold, other in wrong[:MAX_CONFUSIONS]:
        count = block.counts[gold][other]
        share = 100 * _share(count, sum(block.counts[gold]))
        rows.append((block.labels[gold], block.labels[other], int(count), share))
    return Table(block.title, columns, rows)


def description(block: Matrix) -> str:
    """The picture in a sentence."""
    total = sum(map(sum, block.counts))
    right = sum(block.counts[index][index] for index in range(len(block.labels)))
    return (
        f"Confusion matrix of {len(block.labels)} labels: {number(int(right))} of {number(int(total))} rows "
        "are on the diagonal."
    )


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0


def _cells(block: Matrix, cell_px: int) -> list[Spec]:
    """Shades, counts where cells have room for them, and shares below these where there is room for both."""
    cells = list(_cell_data(block, cell_px))
    num_labels = len(block.labels)
    shades = layer(
        {"type": "rect", "color": SUMMARY},
        cells,
        x={"field": "predicted", **AXIS, "scale": {"domain": [0, num_labels], "nice": False}},
        y={"field": "gold", **AXIS, "scale": {"domain": [num_labels, 0], "nice": False}},
        x2={"field": "predicted_end"},
        y2={"field": "gold_end"},
        fillOpacity={"field": "shade", "type": "quantitative", "scale": None, "legend": None},
    )
    has_shares = cell_px >= CELL_WITH_SHARE_PX
    place = {"x": {"field": "x", **AXIS}, "y": {"field": "y", **AXIS}}
    mark = {"type": "text", "color": INK, "align": "center", "fontSize": TEXT_PX}
    counts = layer({**mark, "yOffset": -8 if has_shares else 0}, cells, text={"field": "count"}, **place)
    shares = layer({**mark, "yOffset": 8}, cells, text={"field": "share"}, **place)
    return [shades, *([counts] if cell_px >= CELL_WITH_COUNT_PX else []), *([shares] if has_shares else [])]


def _labels(block: Matrix, label_px: int, *, is_upright: bool) -> list[Spec]:
    """The labels at the left, and above the columns, there upright if they are wider than these."""
    names = [
        {"index": index + 0.5, "name": fitted(label, FONT_PX, label_px)}
        for index, label in enumerate(block.labels)
    ]
    mark, text = {"type": "text", "color": INK}, {"field": "name"}
    turned = {"align": "left", "angle": 270} if is_upright else {"align": "center"}
    place = {"field": "index", **AXIS}
    return [
        layer({**mark, "align": "right"}, names, y=place, x={"value": -6}, text=text),
        layer({**mark, **turned}, names, x=place, y={"value": -6 if is_upright else -12}, text=text),
    ]


def _cell_data(block: Matrix, cell_px: int) -> Iterator[Spec]:
    """The cells that have rows, or all where their counts are written into them."""
    gap = 1 / cell_px  # a pixel
    for gold, counts in enumerate(block.counts):
        for predicted, count in enumerate(counts):
            if count or cell_px >= CELL_WITH_COUNT_PX:
                share = _share(count, sum(counts))
                yield {
                    "gold": gold,
                    "gold_end": gold + 1 - gap,
                    "predicted": predicted,
                    "predicted_end": predicted + 1 - gap,
                    "x": predicted + 0.5,
                    "y": gold + 0.5,
                    "shade": round(0.04 + (DARKEST - 0.04) * share, 3),
                    "count": _count(count, cell_px),
                    "share": percent(share),
                }


def _count(count: int, cell_px: int) -> str:
    """A count as a cell of this width has room for it."""
    in_full = f"{count:,}"
    return in_full if text_width(in_full, TEXT_PX) < cell_px - 4 else short_number(count, digits=2)
