import json
import re
import sys
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.monitoring.messages import Messages, opened_log
from pipeline.monitoring.origin import Origin

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "
Captured = pytest.CaptureFixture[str]


def say_everything(messages: Messages) -> None:
    messages("news of s3://key:secret@bucket/x?token=1")
    messages(None)
    messages.note("a note")
    messages.progress("half")
    messages.error("an error\nin two lines")
    messages.result("done")


def test_news_and_errors_on_standard_error_and_the_result_on_standard_output(capsys: Captured) -> None:
    say_everything(Messages())
    out, err = capsys.readouterr()
    assert out == "done\n"
    news, note, progress, *error = err.splitlines()
    assert news == "news of s3://bucket/x"
    assert re.fullmatch(f"{STAMP}a note", note)
    assert re.fullmatch(f"{STAMP}half", progress)
    assert error == ["an error", "in two lines"]


def test_a_quiet_command_shows_errors_and_the_result_only(capsys: Captured) -> None:
    say_everything(Messages(is_quiet=True))
    assert capsys.readouterr() == ("done\n", "an error\nin two lines\n")


@pytest.mark.parametrize("is_quiet", [False, True])
def test_the_log_gets_everything_with_time_stamps_and_no_secret(
    is_quiet: bool, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("of an earlier run\n", encoding="utf-8")
    with opened_log(path) as log:
        say_everything(Messages(log, is_quiet=is_quiet))
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert first == "of an earlier run"
    assert all(re.match(STAMP, line) for line in lines)
    assert [line[21:] for line in lines] == [
        "news of s3://bucket/x",
        "a note",
        "half",
        "an error",
        "in two lines",
        "done",
    ]


def test_a_terminal_shows_progress_live_and_not_line_by_line(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    messages = Messages()
    assert messages.is_live
    assert not Messages(is_quiet=True).is_live
    messages.progress("half")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TERM", "dumb")
    assert not messages.is_live
    messages.progress("half")
    assert capsys.readouterr().err.endswith("  half\n")


def test_a_log_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "no" / "log", "No such file or directory")):
        with (
            pytest.raises(ConfigError, match=rf"--log-file: {path} cannot be written \({reason}\), "),
            opened_log(path),
        ):
            pass


def test_a_full_disk_ends_the_log_and_not_the_run(capsys: Captured) -> None:
    with opened_log(Path("/dev/full")) as log:
        assert log is not None
        messages = Messages(log)
        messages("first")
        messages("second")
        assert capsys.readouterr().err.splitlines() == [
            "first",
            "--log-file: cannot be written any more (No space left on device); the run goes on without it",
            "second",
        ]


def test_the_log_takes_names_that_are_not_utf8(tmp_path: Path) -> None:
    with opened_log(tmp_path / "log") as log:
        Messages(log, is_quiet=True)("of \udcff")
    assert (tmp_path / "log").read_text(encoding="utf-8").endswith("  of \\udcff\n")


ORIGIN = Origin("news/a.5f2c9a1e.00000-of-00002.parquet", 2, "10.0.0.3")


def test_json_has_one_object_a_message_on_the_same_streams(tmp_path: Path, capsys: Captured) -> None:
    with opened_log(tmp_path / "log") as log:
        messages = Messages(log, log_format="json")
        messages("before the run is known")
        messages.run = "out-5f2c9a1e"
        say_everything(messages)
        messages.note("rebuilt", ORIGIN)
        messages.error("failed", Origin("a", None, None))
        messages("of \udcff, 日本")
    out, err = capsys.readouterr()
    assert all(line.isascii() for line in [*out.splitlines(), *err.splitlines()])
    shown = [json.loads(line) for line in err.splitlines()]
    [result] = map(json.loads, out.splitlines())
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time")) for line in [*shown, result]
    )
    run = {"run": "out-5f2c9a1e"}
    assert result == {"level": "result", "message": "done", **run}
    assert shown == [
        {"level": "info", "message": "before the run is known"},
        {"level": "info", "message": "news of s3://bucket/x", **run},
        {"level": "info", "message": "a note", **run},
        {"level": "progress", "message": "half", **run},
        {"level": "error", "message": "an error\nin two lines", **run},
        {
            "level": "info",
            "message": "rebuilt",
            **run,
            "fragment": ORIGIN.fragment,
            "attempt": 2,
            "node": "10.0.0.3",
        },
        {"level": "error", "message": "failed", **run, "fragment": "a"},
        {"level": "info", "message": "of \\xff, 日本", **run},
    ]
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted([*out.splitlines(), *err.splitlines()])


def test_json_is_never_drawn_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert not Messages(log_format="json").is_live


def test_stacks_are_one_message_in_json_and_plain_in_text(capfd: pytest.CaptureFixture[str]) -> None:
    Messages(log_format="json").dump(lambda stream: print("stack\nof two lines", file=stream))
    [line] = capfd.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "stack\nof two lines\n"
    streams = []
    Messages().dump(streams.append)
    assert streams == [sys.stderr]


def test_a_full_disk_is_told_in_json(capsys: Captured) -> None:
    with opened_log(Path("/dev/full")) as log:
        Messages(log, log_format="json")("first")
    first, problem = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["message"] == "first"
    assert problem["message"].startswith("--log-file: cannot be written any more (No space left on device)")
