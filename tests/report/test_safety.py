"""A page in a browser asks for nothing, says nothing on the console, and runs nothing but its own script."""

from pathlib import Path

import pytest

from tests.report.conftest import Browser


@pytest.mark.parametrize("name", ["ordinary", "awkward"])
@pytest.mark.parametrize("width", [375, 1000])
def test_no_request_and_no_message(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.open(pages[name], width)
    assert browser.ask("return document.querySelectorAll('svg.picture').length") > 5
    assert browser.ask("return document.querySelector('.examples').classList.contains('scripted')")
    assert browser.messages() == []
    assert {url for url in browser.requests() if not url.startswith("data:,")} == {pages[name].as_uri()}


def test_what_gets_in_all_the_same_neither_runs_nor_loads(browser: Browser, pages: dict[str, Path]) -> None:
    """The policy holds even if markup came through: here it is put in on purpose."""
    browser.open(pages["ordinary"])
    browser.ask(
        """const script = document.createElement("script");
        script.textContent = "window.hasRun = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", `
          <img src="http://127.0.0.1:9/x" onerror="window.hasRun = true">
          <p id="styled" style="color: rgb(1, 2, 3)">x</p><iframe src="http://127.0.0.1:9/y"></iframe>`);
        return new Promise((resolve) => setTimeout(resolve, 300));"""
    )
    assert browser.ask("return window.hasRun") is None
    assert browser.ask("return getComputedStyle(document.getElementById('styled')).color") != "rgb(1, 2, 3)"
    assert len(browser.messages()) >= 4
    outside = {url: reason for url, reason in browser.requests().items() if "127.0.0.1" in url}
    assert outside == dict.fromkeys(outside, "csp")
