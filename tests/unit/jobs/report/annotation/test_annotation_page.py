"""What the page of an annotation says of the calls."""

from dataclasses import replace

from jobs.report.annotation.annotation_page import annotation_page
from jobs.report.annotation.figures import Figures
from jobs.report.page import Bars, Page, Table
from pipeline.output.call_history import CallCounts, CallRecord, Extent
from pipeline.output.status import Status
from tests.unit.pipeline.output.test_call_history import CALL

HOUR = replace(CALL, end="2026-12-01T00:00:00.000Z", counts=CallCounts(num_trunk_tokens=2_000_000))
PRICE = "cost per million tokens"


def page_of(*calls: CallRecord) -> Page:
    """The page of an output that these calls worked on."""
    status = Status("complete", Extent(1, 1), Extent(1, 1), (), None, None, 0, None)
    return annotation_page("out", status, calls, Figures())


def prices(page: Page) -> list[object]:
    """The column of the price in the table of calls."""
    (table,) = (block for block in page.sections[0].blocks if isinstance(block, Table))
    return [row[-1] for row in table.rows] if table.columns[-1].name == PRICE else []


def test_the_price_of_tokens_is_that_of_the_calls_that_know_one() -> None:
    page = page_of(HOUR, replace(HOUR, cost_per_hour=10.0), replace(HOUR, cost_per_hour=20.0))
    assert prices(page) == [None, 5.0, 10.0]
    assert dict(page.facts)[PRICE] == "7.5"


def test_without_a_price_or_tokens_there_is_none() -> None:
    for call in (HOUR, replace(HOUR, cost_per_hour=10.0, counts=CallCounts())):
        page = page_of(call)
        assert prices(page) == []
        assert PRICE not in dict(page.facts)


def test_calls_are_named_by_the_second_they_began_in() -> None:
    (bars, table) = page_of(replace(HOUR, begin="2026-11-30T23:00:05.250Z")).sections[0].blocks
    assert isinstance(bars, Bars)
    assert isinstance(table, Table)
    assert (bars.bars[0].name, table.columns[0].name, table.rows[0][0]) == (
        "11-30 23:00:05",
        "begin (UTC)",
        "2026-11-30 23:00:05",
    )
