"""Pictures hold the figures: what is drawn is read back from the SVG, in pixels."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("vl_convert")

from jobs.report.charts import bars
from jobs.report.charts.bins import MARGINS
from jobs.report.charts.columns import PLOT_PX, STRIP_PX
from jobs.report.charts.drawing import draw
from jobs.report.charts.frame import WIDE, Margins, plot_width
from jobs.report.charts.reliability import SQUARE_PX
from jobs.report.page import (
    Bar,
    Bars,
    Bin,
    Binned,
    CalibrationBin,
    Chart,
    Histogram,
    Matrix,
    Reference,
    Reliability,
)
from jobs.report.text import plain_data
from tests.report.pages import TEXTS, awkward_page
from tests.unit.jobs.report.charts.pictures import lines, rectangles, symbols, texts

NAN = float("nan")
BARS = Bars(
    "By language",
    "accuracy, %",
    [Bar("en", 80.0, (75.0, 90.0)), Bar("de", 40.0), Bar("none", None), Bar("mean", 60.0, is_summary=True)],
    references=[Reference("XL", {"en": 85.0, "de": 50.0}), Reference("XXL", {"de": 55.0, "fr": 1.0})],
    baseline=Reference("majority", {"en": 33.3, "de": 20.0}),
    domain=(0, 100),
)


def wide(block: Chart) -> str:
    return str(draw(block).pictures[0])


def bars_width(block: Bars) -> int:
    padding = bars.spec(block, WIDE)["padding"]
    return plot_width(WIDE, Margins(**padding))


def test_bars_are_as_long_as_their_values() -> None:
    svg, width = wide(BARS), bars_width(BARS)
    assert [box[2] / width for box in rectangles(svg, "fill")] == pytest.approx([0.8, 0.4], abs=0.001)
    assert [box[2] / width for box in rectangles(svg, "summary")] == pytest.approx([0.6], abs=0.001)
    assert [text for text in texts(svg) if text in ("80.0", "40.0", "–", "60.0")] == ["80.0", "40.0", "–", "60.0"]
    assert {"en", "de", "none", "mean", "accuracy, %"} <= set(texts(svg))


def test_whiskers_marks_and_baseline_stand_at_their_values() -> None:
    svg, width = wide(BARS), bars_width(BARS)
    ((x, y, length, _),) = [line for line in lines(svg, "ink") if line[2]]
    assert (x / width, (x + length) / width) == pytest.approx((0.75, 0.9), abs=0.001)
    assert [x / width for x, _ in symbols(svg, "stroke", "mark-0")] == pytest.approx([0.85, 0.5], abs=0.001)
    assert [x / width for x, _ in symbols(svg, "stroke", "mark-1")] == pytest.approx([0.55], abs=0.001)
    baselines = lines(svg, "muted")
    assert [line[0] / width for line in baselines] == pytest.approx([0.333, 0.2], abs=0.001)
    # All that belongs to a bar lies in its row, which the baseline crosses from top to bottom.
    for (_, top, _, extent), bar in zip(baselines, rectangles(svg, "fill"), strict=True):
        ends = sorted((top, top + extent))
        assert ends[0] < bar[1] < bar[1] + bar[3] < ends[1]
    assert rectangles(svg, "fill")[0][1] < y < symbols(svg, "stroke", "mark-0")[0][1]


def test_figures_of_bars() -> None:
    drawing = draw(BARS)
    assert [column.name for column in drawing.figures.columns] == [
        "language",
        "accuracy, %",
        "95 % interval",
        "XL",
        "XXL",
        "majority",
    ]
    assert drawing.figures.rows[:2] == [
        ("en", "80.0", "75.0 to 90.0", "85.0", "–", "33.3"),
        ("de", "40.0", None, "50.0", "55.0", "20.0"),
    ]
    assert [entry.name for entry in drawing.legend] == ["95 % interval", "XL", "XXL", "majority"]
    assert 'aria-label="By language. Bar chart of accuracy, %: 4 bars, from 40.0 (de) to 80.0 (en)."' in wide(BARS)


def test_bars_below_zero_and_values_that_are_not_numbers() -> None:
    block = Bars("t", "m", [Bar("a", -0.5, (-1.0, 0.0)), Bar("b", NAN, (NAN, 1.0)), Bar("c", float("inf"))])
    svg = wide(block)
    ((left, _, length, _),) = rectangles(svg, "fill")
    zero = left + length
    assert length > 100
    assert len([line for line in lines(svg, "ink") if line[2]]) == 1
    assert [line[0] + line[2] for line in lines(svg, "ink")] == pytest.approx([zero], abs=1)
    assert {"nan", "inf", "-0.5"} <= set(texts(svg))


def test_matrix_shades_are_shares_of_rows() -> None:
    svg = wide(Matrix("m", ["yes", "no"], [[75, 25], [0, 1_999]]))
    cells = rectangles(svg, "summary")
    assert len(cells) == 4
    assert cells[0][2:] == cells[3][2:]
    assert cells[0][0] == cells[2][0] < cells[1][0] == cells[3][0]
    assert cells[0][1] == cells[1][1] < cells[2][1]
    assert texts(svg)[:8] == ["75", "25", "0", "1,999", "75 %", "25 %", "0 %", "100 %"]
    shades = [float(part.split('"')[0]) for part in svg.split('fill-opacity="')[1:]]
    assert shades == pytest.approx([0.385, 0.155, 0.04, 0.5])


def test_figures_of_a_matrix() -> None:
    figures = draw(Matrix("m", ["yes", "no"], [[75, 25], [0, 0]])).figures
    assert [column.name for column in figures.columns] == ["gold", "yes", "no"]
    assert figures.rows == [("yes", "75 (75.0 %)", "25 (25.0 %)"), ("no", "0 (0.0 %)", "0 (0.0 %)")]


def test_many_labels_give_the_most_frequent_confusions() -> None:
    labels = [f"l{index}" for index in range(41)]
    counts = [[0] * 41 for _ in labels]
    counts[3][3], counts[3][4], counts[5][0] = 6, 2, 9
    drawing = draw(Matrix("m", labels, counts))
    assert drawing.pictures == ()
    assert drawing.figures.rows == [("l5", "l0", 9, 100.0), ("l3", "l4", 2, 25.0)]


def test_reliability_curve() -> None:
    bins = [
        CalibrationBin(0.5, 0.25, 100, (0.2, 0.3)),
        CalibrationBin(None, None, 0),
        CalibrationBin(0.9, 0.75, 50),
    ]
    svg = wide(Reliability("r", bins, 0.2))
    points = symbols(svg, "fill", "summary")
    assert points == [
        pytest.approx(place) for place in ((0.5 * SQUARE_PX, 0.75 * SQUARE_PX), (0.9 * SQUARE_PX, 75))
    ]
    ((x, y, _, extent),) = [line for line in lines(svg, "ink") if line[3]]
    assert (x, *sorted((y, y + extent))) == pytest.approx((150, 210, 240))
    assert [box[3] for box in rectangles(svg, "fill")] == pytest.approx([STRIP_PX, STRIP_PX / 2])
    assert draw(Reliability("r", bins, 0.2)).figures.rows[1] == (None, None, None, 0)


def test_score_by_length() -> None:
    bins = [Bin(1, 8, 400, 50.0, (40.0, 60.0)), Bin(8, 16, 0), Bin(16, None, 100, 100.0)]
    block = Binned("b", "accuracy, %", "tokens", bins, domain=(0, 100))
    svg, width = wide(block), plot_width(WIDE, MARGINS)
    assert symbols(svg, "fill", "summary") == [
        pytest.approx((width / 6, PLOT_PX / 2), abs=0.01),
        pytest.approx((width * 5 / 6, 0), abs=0.01),
    ]
    assert [box[3] for box in rectangles(svg, "fill") if box[3]] == pytest.approx([STRIP_PX, STRIP_PX / 4])
    assert {"1", "8", "16", "∞", "400", "100"} <= set(texts(svg))
    assert draw(block).figures.rows == [
        ("1 to below 8", "50.0", "40.0 to 60.0", 400),
        ("8 to below 16", "–", None, 0),
        ("16 and more", "100.0", None, 100),
    ]


def test_histogram() -> None:
    svg = wide(Histogram("h", "tokens", [Bin(0, 10, 100), Bin(10, 20, 50)]))
    heights = [box[3] for box in rectangles(svg, "fill")]
    assert heights == pytest.approx([PLOT_PX, PLOT_PX / 2])
    assert {"0", "10", "20", "tokens", "rows"} <= set(texts(svg))


@pytest.mark.parametrize(
    "block",
    [
        Bars("t", "m", []),
        Matrix("t", [], []),
        Reliability("t", [], 0.0),
        Binned("t", "m", "b", []),
        Histogram("t", "b", []),
    ],
    ids=lambda block: type(block).__name__,
)
def test_nothing_is_no_picture(block: Chart) -> None:
    drawing = draw(block)
    assert drawing.pictures == ()
    assert list(drawing.figures.rows) == []


def test_numbers_of_numpy() -> None:
    """NumPy's numbers are as good as Python's."""
    counts: Any = np.array([[3, 1], [0, 2]])
    matrix = draw(plain_data(Matrix("t", ["a", "b"], counts)))
    assert matrix.figures.rows[0] == ("a", "3 (75.0 %)", "1 (25.0 %)")
    assert texts(str(matrix.pictures[0]))[:4] == ["3", "1", "0", "2"]
    bin_ = plain_data(Bin(np.float64(0), np.float32(1), counts[0][0], np.float32(0.5), (np.float64(0), 1)))
    assert draw(Histogram("t", "b", [bin_])).figures.rows == [("0 to below 1", 3)]
    assert draw(Binned("t", "m", "b", [bin_])).figures.rows == [("0 to below 1", "0.5", "0.0 to 1.0", 3)]


def test_names_are_data_and_never_expressions() -> None:
    names = [
        *(text for text in TEXTS.values() if text.isprintable() and text),
        "datum.value",
        "toString",
        "__proto__",
        "",
    ]
    block = Bars("t", "m", [Bar(name, float(index)) for index, name in enumerate(names)])
    svg = wide(block)
    assert {"datum.value", "toString", "__proto__"} <= set(texts(svg))
    assert len(rectangles(svg, "fill")) == len(names)


def test_pictures_are_the_same_each_time() -> None:
    blocks = [block for section in awkward_page().sections for block in section.blocks if isinstance(block, Bars)]
    assert draw(blocks[0]) == draw(blocks[0])


def test_phones_get_a_picture_of_their_own() -> None:
    first, second = draw(BARS).pictures
    assert 'class="picture wide" width="680"' in first
    assert 'class="picture narrow" width="328"' in second
    assert set(texts(str(first))) >= {"80.0", "en"} <= set(texts(str(second)))


@pytest.mark.parametrize(("greatest", "others"), [(1, set()), (3, {"1", "2"})])
def test_what_is_counted_has_axes_in_whole_numbers(greatest: int, others: set[str]) -> None:
    names = {"0", str(greatest)} | others
    counted = Bars("Errors", "rows", [Bar("no_text", float(greatest))], decimals=0)
    assert set(texts(wide(counted))) == {"no_text", "rows"} | names, greatest
    assert names <= set(texts(wide(Histogram("Lengths", "tokens", [Bin(0, 1, greatest), Bin(1, 2, 0)]))))
    assert not any("." in text for text in texts(wide(counted)))
