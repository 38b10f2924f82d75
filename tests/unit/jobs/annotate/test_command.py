"""`python -m jobs.annotate --plan` over the demo's model: what is shown and refused before any work."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.annotate.command import main
from pipeline.config.job import load_job_config
from pipeline.driver.identity import run_identity
from pipeline.heads.resolve import resolve_heads
from pipeline.input.file_listing import resolve_path
from pipeline.output.call_history import CallHistory
from pipeline.output.manifest import FileRecord, Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.restart import begin_run
from tests.unit.pipeline.input_files import rows, tree, write

ROOT = Path(__file__).resolve().parents[4]
MODEL = ROOT / "jobs/demo/model"
GONE = FileRecord("gone.parquet", "v", "m", num_parts=1, num_rows=3, num_bytes=9, num_errors=0, num_tokens=9)


def job_file(root: Path, inputs: Path | str, head: str = "vector") -> Path:
    """A job whose output is `root/out`."""
    sections = {"model": MODEL, "input": inputs, "output": root / "out"}
    lines = [f"[{name}]\npath = {json.dumps(str(path))}\n" for name, path in sections.items()]
    path = root / "job.toml"
    path.write_text("".join(lines) + f'[heads."{head}"]\ntask = "embedding"\n', encoding="utf-8")
    return path


def begin(job: Path) -> OutputFolder:
    """Begin the output of a job, as a run does that is killed at once."""
    config = load_job_config(job)
    output = OutputFolder(*resolve_path(config.output.path, "output.path"))
    return begin_run(output, run_identity(config, resolve_heads(config)), is_restart=False)


def planned(job: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main([str(job), "--plan", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_plan_shows_names_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "v[" / "x]"
    write(inputs / "[/x] :car:.parquet", rows(3))
    (inputs / "[draft] b.parquet").write_text("no Parquet")
    out = planned(job_file(tmp_path, inputs, head="[/x] :car:"), capsys)
    assert f"\ncannot be read: {inputs}/[draft] b.parquet: no Parquet file" in out
    assert out.splitlines()[0].split(maxsplit=1)[1].rstrip() == str(inputs)
    assert "  new            1: [/x] :car:.parquet " in out
    assert "\n[/x] :car:  embedding " in out
    found = planned(_globbed(tmp_path), capsys).splitlines()[0]
    assert found.split(maxsplit=1)[1].rstrip() == f"{tmp_path}/in/[a-c]*.parquet"


def _globbed(root: Path) -> Path:
    write(root / "in" / "b.parquet", rows(3))
    return job_file(root, f"{root}/in/[a-c]*.parquet")


def test_a_long_name_is_shown_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "/".join(["x" * 100] * 3)
    write(inputs / "a.parquet", rows(3))
    out = planned(job_file(tmp_path, inputs), capsys)
    assert str(inputs) in "".join(line.removeprefix("input").strip() for line in out.splitlines())


def test_the_plan_says_what_becomes_of_the_parts_of_removed_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.parquet", rows(3))
    job = job_file(tmp_path, tmp_path / "in")
    folder = begin(job)
    Manifest(folder).record_file("gone", GONE)
    before = tree(tmp_path)
    assert "1, whose parts stay unless --prune-removed is given: gone.parquet" in planned(job, capsys)
    assert "1, whose parts are deleted: gone.parquet" in planned(job, capsys, "--prune-removed")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("options", [[], ["--plan"]])
def test_retrying_needs_an_earlier_run(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.parquet", rows(3))
    job = job_file(tmp_path, tmp_path / "in")
    before = tree(tmp_path)
    assert main([str(job), "--retry-failed", *options]) == 2
    assert capsys.readouterr() == (
        "",
        f"refused: --retry-failed: found no earlier run in {tmp_path}/out, expected an output with fragments that "
        "have failed; check output.path, or leave the option out\n",
    )
    assert tree(tmp_path) == before
    begin(job)
    assert "1, 0 to do" in planned(job, capsys, "--retry-failed")


def test_what_failed_and_everything_are_not_retried_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.parquet", rows(3))
    job = job_file(tmp_path, tmp_path / "in")
    assert main([str(job), "--retry-failed", "--restart", "--plan"]) == 2
    assert capsys.readouterr() == (
        "",
        "refused: --retry-failed: found together with --restart, which processes everything again; expected only "
        "one of them\n",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--retry-errors", "--restart"],
            "--retry-errors: found together with --restart, which processes everything",
        ),
        (
            ["--retry-errors", "--retry-failed"],
            "--retry-errors: found together with --retry-failed, which leaves out",
        ),
        (["--retry-errors", "--plan"], "--retry-errors: found no earlier run in "),
        (["--verify", "--json"], "--verify: found together with another option"),
        (["--verify", "--failed-ok"], "--verify: found together with another option"),
    ],
)
def test_what_cannot_be_retried_is_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.parquet", rows(3))
    assert main([str(job_file(tmp_path, tmp_path / "in")), *options]) == 2
    assert capsys.readouterr().err.startswith(f"refused: {message}")


@pytest.mark.parametrize(
    "options",
    [
        ["--restart", "--keep-touched", "--prune-removed"],
        ["--retry-failed", "--keep-touched", "--prune-removed", "--address", "local"],
    ],
)
def test_all_other_options_go_together(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.parquet", rows(3))
    job = job_file(tmp_path, tmp_path / "in")
    begin(job)
    assert " to do" in planned(job, capsys, *options)


@pytest.mark.parametrize("width", [40, 80])
def test_the_plan_breaks_no_words_on_narrow_terminals(
    width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.terminal.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    write(tmp_path / "in" / "a.parquet", rows(3))
    lines = [line.rstrip() for line in planned(job_file(tmp_path, tmp_path / "in"), capsys).splitlines()]
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("head ")) :]
    facts = {" ".join(line.split()) for line in table}
    assert {"head vector", "task embedding", "reads text"} <= facts
    assert any(line.split()[:2] == ["column", "type"] for line in table)
    assert all(len(line) <= width for line in lines if not line.startswith(("unused in", "passed over")))


def test_the_plan_estimates_tokens_time_and_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "a.parquet", rows(30))
    job = job_file(tmp_path, tmp_path / "in")
    out = planned(job, capsys)
    [tokens] = [line.split()[1] for line in out.splitlines() if line.startswith("tokens")]
    num_tokens = int(tokens.replace(",", ""))
    # <s>, </s> and some for each text.
    assert 30 * 4 < num_tokens < 30 * 20
    assert f"\n  vector         {tokens} in 30 sequences, {num_tokens / 30:,.1f} tokens a row" in out
    assert "\ntime" not in out
    priced = planned(job, capsys, "--tokens-per-second=0.5", "--set=run.cost_per_hour=36")
    [time] = [line for line in priced.splitlines() if line.startswith("time")]
    assert f" at 0 tokens/s, which costs about {num_tokens * 2 / 100:.2f} at 36 per hour" in time


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--limit=0"], "--limit: found 0, expected a number above 0"),
        (["--sample=-3"], "--sample: found -3, expected a number above 0"),
        (["--plan", "--tokens-per-second=0"], "--tokens-per-second: found 0, expected a number above 0"),
        (["--tokens-per-second=9"], "--tokens-per-second: found without --plan, expected both"),
        (["--preview-output=x"], "--preview-output: found without --limit and --sample, expected one of them"),
        (["--limit=3", "--restart"], "--limit: found together with --restart, expected only one of them"),
        (["--sample=3", "--plan"], "--sample: found together with --plan, expected only one of them"),
        (["--sample=3", "--verify"], "--sample: found together with --verify, expected only one of them"),
    ],
)
def test_options_of_previews_that_make_no_sense(
    options: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_file(tmp_path, tmp_path)
    assert main([str(job), *options]) == 2
    assert f"refused: {reason}" in capsys.readouterr().err


def test_a_preview_of_a_wrong_job_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in" / "a.parquet", rows(3))
    job = job_file(tmp_path, tmp_path / "in")
    before = tree(tmp_path)
    assert main([str(job), "--limit=2", "--quiet", "--set=model.path=nowhere"]) == 2
    assert main([str(job), "--limit=2", "--set=input.text=nowhere"]) == 2
    assert main([str(job), "--limit=2", f"--preview-output={tmp_path}/in"]) == 2
    # Its parts would be input of the job.
    assert main([str(job), "--limit=2", f"--preview-output={tmp_path}/in/x"]) == 2
    err = capsys.readouterr().err
    assert (err.count("refused: "), err.count("--quiet")) == (4, 0)
    assert tree(tmp_path) == before


def test_a_quiet_command_shows_errors_and_its_log_says_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, log = job_file(tmp_path, "s3://key:secret@bucket/x?no-option"), tmp_path / "log"
    for _ in range(2):
        assert main([str(job), "--quiet", "--log-file", str(log), "--plan"]) == 2
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert (out, first) == ("", second)
    assert first.startswith("refused: input.path: s3://bucket/x")
    logged = log.read_text(encoding="utf-8").splitlines()
    assert [line[19:] for line in logged] == [f"  {first}", f"  {first}"]


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(job_file(tmp_path, tmp_path)), "--log-file", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(
        f"refused: --log-file: {tmp_path} cannot be written (Is a directory)"
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["job.toml", "--retry-failed", "--restart"], 2), (["wrong.toml"], 2), (["job.toml"], 2)],
    ids=["help", "contradiction", "wrong job", "no input"],
)
def test_neither_torch_nor_ray_is_loaded_for_a_mistake_or_for_help(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    job_file(tmp_path, tmp_path)
    (tmp_path / "wrong.toml").write_text("[model]\npth = 1\n", encoding="utf-8")
    program = f"""
import sys
from jobs.annotate.command import main
try:
    code = main({arguments!r})
except SystemExit as ended:
    code = ended.code
print("ended", code, *sorted({{"ray", "torch"}}.intersection(sys.modules)))
"""
    environment = {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == f"ended {code}"


@pytest.mark.parametrize(("options", "code"), [([], 3), (["--failed-ok"], 0)])
def test_failures_may_be_allowed(options: list[str], code: int, tmp_path: Path) -> None:
    """Nothing is to be computed, so that no cluster is needed."""
    write(tmp_path / "in" / "none.parquet", rows(0))
    (tmp_path / "in" / "bad.parquet").write_text("no Parquet")
    job = job_file(tmp_path, tmp_path / "in")
    assert main([str(job), "--quiet", *options]) == code
    [call] = CallHistory(OutputFolder(*resolve_path(str(tmp_path / "out"), "output.path"))).calls()
    # As xlmr-status has it.
    assert call.exit_code == 3


def test_messages_as_json_are_lines_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "none.parquet", rows(0))
    (tmp_path / "in" / "bad.parquet").write_text("no Parquet")
    log = tmp_path / "log"
    options = ["--log-format", "json", "--log-file", str(log)]
    assert main([str(job_file(tmp_path, tmp_path / "in")), *options]) == 3
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in [*err.splitlines(), *out.splitlines()]]
    assert sorted(log.read_text(encoding="utf-8").splitlines()) == sorted([*err.splitlines(), *out.splitlines()])
    assert {line["level"] for line in lines} == {"info", "error", "result"}
    [run] = {line["run"] for line in lines}
    assert re.fullmatch(r"out-[0-9a-f]{8}", run)
    assert main([str(tmp_path / "job.toml"), "--set", "output.path=/", *options]) == 2
    [refused] = map(json.loads, capsys.readouterr().err.splitlines())
    assert (refused["level"], refused["message"].partition(":")[0]) == ("error", "refused")
