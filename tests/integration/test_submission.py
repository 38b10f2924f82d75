"""`ray job submit --working-dir .` in a checkout, on a cluster whose dashboard takes jobs."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from jobs.demo.sample import read_source
from tests.integration.processes import descendants, environment
from tests.integration.runs import ROOT

TIMEOUT_S = 200.0
JOB = """
[model]
path = "jobs/demo/model"
[input]
path = "jobs/demo/sample.parquet"
[output]
path = "demo/annotated"
[heads.language]
task = "text-classification"
"""


# The cluster asks for no token, wherever one may lie.
NO_TOKEN = {"RAY_AUTH_MODE": "disabled"}


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """The address of one on a cluster that takes jobs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.submission_host"],
        cwd=ROOT,
        env=environment(**NO_TOKEN),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield next(line.strip() for line in process.stdout if line.startswith("127.0.0.1:"))
    left_over = descendants(process.pid)
    process.communicate(timeout=60)
    for other in left_over:
        other.kill()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a clone holds that has seen the demo, whose job has been changed."""
    folder = tmp_path / "clone"
    for package in ("model", "pipeline", "jobs"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", folder)
    (folder / "demo/annotated").mkdir(parents=True)
    (folder / "demo/job.toml").write_text(JOB, encoding="utf-8")
    return folder


def submit(dashboard: str, checkout: Path, script: str) -> "subprocess.CompletedProcess[str]":
    ray = str(Path(sys.executable).with_name("ray"))
    return subprocess.run(
        [ray, "job", "submit", "--working-dir", ".", "--", "sh", "-c", script],
        cwd=checkout,
        env=environment(RAY_ADDRESS=f"http://{dashboard}", **NO_TOKEN),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.slow
def test_a_job_is_done_where_it_is_sent_and_refused_an_output_in_the_copy_of_the_folder(
    dashboard: str, checkout: Path, tmp_path: Path
) -> None:
    # More than Ray uploads, in 64 KiB on the disk.
    with (checkout / "demo/annotated/part.parquet").open("wb") as file:
        file.truncate(600 * 2**20)
    annotate = f"{sys.executable} -m jobs.annotate demo/job.toml"
    script = f"{annotate}; echo refused with $?; {annotate} --set output.path={tmp_path / 'out'}"
    done = submit(dashboard, checkout, script)
    assert done.returncode == 0, done.stdout
    assert "refused: output.path: demo/annotated lies in the copy of --working-dir" in done.stdout
    assert "refused with 2" in done.stdout
    assert "asks for no token: whoever reaches its ports can run code on it" in done.stdout
    assert f"done: 400 rows in 1 part in {tmp_path / 'out'}" in done.stdout
    output = ds.dataset(sorted((tmp_path / "out").glob("*.parquet"))).to_table()
    assert output["id"].to_pylist() == [row.id for row in read_source()]
