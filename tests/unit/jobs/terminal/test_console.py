import io
import sys

import pytest
from rich.table import Table

from jobs.terminal.console import plain_console

NAMES = ["[draft] b.parquet", "[/x]", "[bold]c", ":car:", "v[1]"]


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console = plain_console(100)
    table = Table(*NAMES, title=NAMES[0])
    table.add_row(*NAMES)
    console.print(table)
    for name in NAMES:
        console.print(name)
    out = capsys.readouterr().out
    assert all(out.count(name) >= 3 for name in NAMES)


def test_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain_console(160).width == 160
    assert plain_console(160, narrowest=200).width == 160

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "70")
    assert plain_console(160).width == 70
    assert plain_console(160, narrowest=120).width == 120
