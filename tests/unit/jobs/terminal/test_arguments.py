from argparse import ArgumentTypeError
from importlib import import_module
from importlib.metadata import distribution, version

import pytest

from jobs.terminal.arguments import utf8_text


def test_text_is_the_utf8_of_the_shell() -> None:
    assert utf8_text("a=ä") == "a=ä"
    assert utf8_text(b"a=\xc3\xa4".decode("ascii", "surrogateescape")) == "a=ä"


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="expected UTF-8, found other bytes from 2 on"):
        utf8_text(b"a=\xe4".decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "module",
    [
        "jobs.annotate.command",
        "jobs.benchmark.command",
        "jobs.compare.command",
        "jobs.convert.command",
        "jobs.fit.command",
    ],
)
def test_every_command_tells_its_version(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        import_module(module).main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"xlmr-ray {version('xlmr-ray')}\n"


def test_every_command_is_a_console_script() -> None:
    scripts = {entry.name: entry.value for entry in distribution("xlmr-ray").entry_points}
    assert scripts == {
        "xlmr-annotate": "jobs.annotate.command:main",
        "xlmr-benchmark": "jobs.benchmark.command:main",
        "xlmr-compare": "jobs.compare.command:main",
        "xlmr-convert": "jobs.convert.command:main",
        "xlmr-evaluate": "jobs.evaluate.command:main",
        "xlmr-fit": "jobs.fit.command:main",
        "xlmr-report": "jobs.report.annotation.command:main",
        "xlmr-status": "jobs.status:main",
    }


@pytest.mark.parametrize(
    ("argument", "remedy"),
    [("--plann", "did you mean --plan?"), ("--lmit=3", "did you mean --limit?"), ("other.toml", "leave it out")],
)
def test_a_misspelt_argument_is_refused_in_one_line(
    argument: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        import_module("jobs.annotate.command").main(["job.toml", argument])
    assert ended.value.code == 2
    assert capsys.readouterr() == (
        "",
        f"refused: {argument}: found an argument that python -m jobs.annotate does not know, expected those that "
        f"--help lists; {remedy}\n",
    )
