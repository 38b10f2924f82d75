"""The content of a report page as plain data.

Strings may hold anything that a corpus holds: the renderer escapes and cleans them. Numbers are shown in the unit
that they are given in, so a share that is to be read as a percentage is given as 85.4, not as 0.854.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Cell = str | int | float | None
"""A value in a table; None is shown as a dash."""
Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""


@dataclass(frozen=True)
class Prose:
    """Paragraphs of text, separated by blank lines."""

    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table: numeric ones are aligned right, their floats shown with `decimals` digits."""

    name: str
    is_numeric: bool = False
    decimals: int = 1


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names the row."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Bar:
    """A bar; `is_summary` sets it apart from the others, as a mean over them is."""

    name: str
    value: float | None
    interval: Interval | None = None
    is_summary: bool = False


@dataclass(frozen=True)
class Reference:
    """Figures to compare with, such as published ones, by the name of the bar; bars without one have no mark."""

    name: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Bars:
    """A horizontal bar each, with its interval, a mark per reference, and the baseline as a dashed line.

    `measure` is what the axis shows, with its unit, `category` what there is a bar for. `domain` is the range of
    the axis; None: from 0 to the greatest value.
    """

    title: str
    measure: str
    bars: Sequence[Bar]
    references: Sequence[Reference] = ()
    baseline: Reference | None = None
    domain: tuple[float, float] | None = None
    decimals: int = 1
    category: str = "language"
    caption: str = ""


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: `counts[i][j]` rows have gold label i and predicted label j."""

    title: str
    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    caption: str = ""


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions of about the same confidence: their mean confidence and accuracy, both 0 to 1."""

    confidence: float | None
    accuracy: float | None
    count: int
    interval: Interval | None = None


@dataclass(frozen=True)
class Reliability:
    """A reliability curve; `calibration_error` is the expected calibration error, 0 to 1."""

    title: str
    bins: Sequence[CalibrationBin]
    calibration_error: float
    caption: str = ""


@dataclass(frozen=True)
class Bin:
    """Rows from `low` up to but without `high` (None: no upper end), how many, and their score."""

    low: float
    high: float | None
    count: int
    value: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class Binned:
    """A score in bins of something else, such as the length of the text, with the number of rows in each bin.

    Bins follow each other without gaps and are drawn equally wide. `domain` is the range of the score's axis.
    """

    title: str
    measure: str
    binned_by: str
    bins: Sequence[Bin]
    domain: tuple[float, float] | None = None
    decimals: int = 1
    caption: str = ""


@dataclass(frozen=True)
class Histogram:
    """Numbers of rows in bins that follow each other without gaps; drawn equally wide."""

    title: str
    binned_by: str
    bins: Sequence[Bin]
    caption: str = ""


@dataclass(frozen=True)
class Examples:
    """Rows to leaf through, in order of interest: the last ones are left out if the page has no room for them.

    `filters` names the columns whose values can be chosen from a list; `texts` names those that hold text of the
    corpus, which is shown on lines of its own, cut, and in the direction of its script. `num_total` says how many
    rows the given ones were selected from.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    filters: Sequence[str] = ()
    texts: Sequence[str] = ()
    page_size: int = 10
    num_total: int | None = None
    caption: str = ""


Chart = Bars | Matrix | Reliability | Binned | Histogram
Block = Prose | Table | Chart | Examples


@dataclass(frozen=True)
class Section:
    """A section; `anchor` is its id in the page: letters, digits and hyphens, once a page."""

    title: str
    anchor: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A page: what it is about, facts as pairs of name and value, and its sections in order."""

    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
