"""A headless Chromium without a network, and what it sees of a page."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests often run as root, in containers
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-first-run",
    "--disable-background-networking",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


class Browser:
    """A page in a window of a chosen size and theme."""

    def __init__(self, driver: "Chrome") -> None:
        self.driver = driver

    def open(
        self, file: Path, width: int = 1000, height: int = 800, theme: str = "light", media: str = "screen"
    ) -> None:
        """Load a file. What was logged before is forgotten."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(file.as_uri())

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """A command of the DevTools protocol."""
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(name, arguments)
        return answer

    def ask(self, script: str, *arguments: object) -> Any:
        """The value of a script's `return`."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        from selenium.webdriver import ActionChains  # noqa: PLC0415  # not everyone has it

        for key in keys:
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def messages(self) -> list[str]:
        """What the console has said since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> dict[str, str | None]:
        """Addresses that were asked for since the page was opened, and why the browser blocked them, if so."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        wanted = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        failed = [event["params"] for event in events if event["method"] == "Network.loadingFailed"]
        reasons = {failure["requestId"]: failure.get("blockedReason") for failure in failed}
        return {request["request"]["url"]: reasons.get(request["requestId"]) for request in wanted}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra `browser`)")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver on this machine (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of the sample pages by name."""
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    from jobs.report.render import render_page  # noqa: PLC0415  # its libraries are an extra
    from tests.report.pages import awkward_page, ordinary_page  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("report")
    files = {}
    for name, page in (("ordinary", ordinary_page()), ("awkward", awkward_page())):
        files[name] = folder / f"{name}.html"
        files[name].write_text(render_page(page), encoding="utf-8")
    return files
