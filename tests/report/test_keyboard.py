"""Filters and pages of examples by the keyboard alone, and without a script."""

from pathlib import Path

import pytest

from tests.report.conftest import Browser

STATUS = "return document.querySelector('.examples [role=status]').textContent"
FOCUSED = "return document.activeElement.tagName + ' ' + document.activeElement.textContent.trim().split('\\n')[0]"
SHOWN = """return [...document.querySelectorAll('.examples .items > li')].filter((item) => item.offsetHeight)
    .map((item) => [...item.querySelectorAll('dd')].slice(0, 3).map((value) => value.textContent.trim()))"""
TAB, ENTER, DOWN, HOME, BACKSPACE = "\ue004", "\ue007", "\ue015", "\ue011", "\ue003"


@pytest.fixture
def errors(browser: Browser, pages: dict[str, Path]) -> Browser:
    """The ordinary page with the focus on the first filter, reached by Tab."""
    browser.open(pages["ordinary"])
    for _ in range(100):
        browser.press(TAB)
        if browser.ask("return document.activeElement.tagName") == "SELECT":
            return browser
    raise AssertionError("no filter is reached by Tab")


def test_skip_link_is_first(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["ordinary"])
    browser.press(TAB)
    assert browser.ask(FOCUSED) == "A Skip to the content"
    assert browser.ask("return document.activeElement.getBoundingClientRect().left") == 0
    browser.press(ENTER)
    assert browser.ask("return document.activeElement.id") == "content"


def test_whatever_has_the_focus_shows_it(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["ordinary"])
    kinds = set()
    for _ in range(30):
        browser.press(TAB)
        kinds.add(browser.ask("return document.activeElement.tagName"))
        style = browser.ask(
            "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
        )
        assert style == ["solid", "2px"], browser.ask(FOCUSED)
        if kinds >= {"A", "SUMMARY", "SELECT", "INPUT", "BUTTON"}:
            return
    raise AssertionError(f"only these get the focus: {kinds}")


def test_pages(errors: Browser) -> None:
    assert errors.ask(STATUS) == "showing 1–10 of 143"
    errors.press(TAB, TAB, TAB, TAB)
    assert errors.ask(FOCUSED) == "BUTTON Previous"
    errors.press(ENTER)
    assert errors.ask(STATUS) == "showing 1–10 of 143"
    errors.press(TAB)
    assert errors.ask(FOCUSED) == "BUTTON Next"
    first = errors.ask(SHOWN)
    errors.press(ENTER)
    assert errors.ask(STATUS) == "showing 11–20 of 143"
    assert errors.ask("return document.querySelector('.items').start") == 11
    assert len(errors.ask(SHOWN)) == 10
    assert errors.ask(SHOWN) != first
    errors.press(*" " * 20)
    assert errors.ask(STATUS) == "showing 141–143 of 143"
    assert len(errors.ask(SHOWN)) == 3
    # The focus stays where it is, on a button that says that it does nothing.
    assert errors.ask(FOCUSED) == "BUTTON Next"
    assert errors.ask("return document.activeElement.getAttribute('aria-disabled')") == "true"


def test_filters(errors: Browser) -> None:
    errors.press("d")
    assert {row[0] for row in errors.ask(SHOWN)} == {"de"}
    assert errors.ask(STATUS) == "showing 1–10 of 10"
    errors.press(TAB, DOWN)
    assert errors.ask(STATUS) == "nothing found"  # in these rows, the language says the gold label
    errors.press(DOWN)
    assert {tuple(row[:2]) for row in errors.ask(SHOWN)} == {("de", "entailment")}
    errors.press(TAB, DOWN)
    assert {tuple(row) for row in errors.ask(SHOWN)} == {("de", "entailment", "contradiction")}
    errors.press(HOME)
    assert errors.ask(STATUS) == "showing 1–10 of 10"


def test_filters_start_at_the_first_page(errors: Browser) -> None:
    errors.press(TAB, TAB, TAB, TAB, TAB, ENTER, ENTER)
    assert errors.ask(STATUS) == "showing 21–30 of 143"
    errors.ask("document.querySelector('.examples input').focus()")
    errors.press(*"ROW 1:")
    assert errors.ask(STATUS) == "showing 1–1 of 1"
    errors.press(BACKSPACE)
    assert errors.ask(STATUS) == "showing 1–10 of 54"
    errors.press(*"zz")
    assert errors.ask(STATUS) == "nothing found"
    assert errors.ask(SHOWN) == []


def test_search_is_for_values_and_not_for_their_names(errors: Browser) -> None:
    errors.press(TAB, TAB, TAB)
    errors.press(*"hypothesis")
    assert errors.ask(STATUS) == "nothing found"


def test_without_a_script_all_examples_are_there(browser: Browser, pages: dict[str, Path]) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["ordinary"])
        assert len(browser.ask(SHOWN)) == 143
        assert browser.ask("return document.querySelector('.controls').offsetHeight") == 0
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)


def test_figures_open_by_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["ordinary"])
    browser.ask("document.querySelector('summary').focus()")
    assert not browser.ask("return document.querySelector('details table').checkVisibility()")
    browser.press(ENTER)
    assert browser.ask("return document.querySelector('details table').checkVisibility()")
