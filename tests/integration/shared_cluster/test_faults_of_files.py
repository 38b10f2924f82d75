"""Input that goes bad while a job runs, and output that cannot be written: what is not touched by it is done."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.failures import FragmentFailure
from pipeline.output.output_folder import FAILED
from tests.integration.corpus import Corpus
from tests.integration.processes import wait_for
from tests.integration.runs import Run, parts, started
from tests.integration.shared_cluster.conftest import Annotated, Workbench
from tests.integration.shared_cluster.test_faults import num_finished, wait_until_under_way

WHOLE = "news/2024/a.parquet"
DAMAGED, DELETED, REPLACED, CUT = (f"web/{name}.parquet" for name in ("damaged", "deleted", "replaced", "cut"))
PLANNED = "_manifest/run.json"
"""Written when the plan is made, and before anything is read."""


def failures_in(output: Path) -> list[FragmentFailure]:
    """What the manifest says of them."""
    return [FragmentFailure(**json.loads(path.read_text())) for path in output.glob(f"{FAILED}/**/*.json")]


def write_inputs(corpus: Corpus, inputs: Path) -> None:
    """A whole file, and four copies of another one, of two fragments each."""
    (inputs / WHOLE).parent.mkdir(parents=True)
    shutil.copy(corpus.inputs / WHOLE, inputs / WHOLE)
    (inputs / "web").mkdir()
    for name in (DAMAGED, DELETED, REPLACED, CUT):
        table = corpus.files[WHOLE][:8]
        pq.write_table(table, inputs / name, row_group_size=4, write_page_checksum=True, compression="none")


def damage_page(path: Path, text: str) -> None:
    """Change a letter of a text in the middle of the file, and leave the footer as it is."""
    data = path.read_bytes()
    where = data.index(text.encode())
    path.write_bytes(data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :])


@pytest.mark.slow
def test_files_that_go_bad_while_a_job_runs_are_told_and_can_be_done_later(
    corpus: Corpus, workbench: Workbench, tmp_path: Path
) -> None:
    inputs, whole = tmp_path / "in", tmp_path / "whole"
    write_inputs(corpus, inputs)
    shutil.copytree(inputs, whole)
    text = corpus.files[WHOLE]["text"][6].as_py()
    options = {"input": {"path": str(inputs), "max_fragment_rows": 4}}
    expected = parts(workbench.run("undisturbed-files", **options).output)

    damage_page(inputs / DAMAGED, text)
    output = workbench.output("bad-files")
    address = ["--address", workbench.cluster.address]
    job_file = workbench.job("bad-files", **options)
    with started(job_file, *address, logs=tmp_path / "first") as run:
        wait_for("plan", (output / PLANNED).exists, timeout_s=60)
        (inputs / DELETED).unlink()
        shutil.copy(inputs / WHOLE, inputs / REPLACED)
        (inputs / CUT).write_bytes((whole / CUT).read_bytes()[:1000])
        finished = run.finish()
    assert finished.code == 3, finished
    failures = failures_in(output)
    reasons = {failure.input_path: failure.reason for failure in failures}
    assert set(reasons) == {DAMAGED, DELETED, REPLACED, CUT}
    assert "cannot be read" in reasons[DAMAGED]
    assert "No such file" in reasons[DELETED]
    assert "has changed since the job was planned" in reasons[REPLACED]
    for failure in failures:
        assert f"failed: {failure}" in finished.stderr
    assert "--retry-failed" in finished.stderr
    assert text not in finished.stdout + finished.stderr + str(failures)
    # Of the damaged file one fragment can be read; of the others none.
    found = parts(output)
    assert found == {path: expected[path] for path in found}
    assert len(expected) - len(found) == len(failures) == 1 + 2 + 2 + 2
    assert not list((output / "_incomplete").glob("*"))

    for name in (DAMAGED, DELETED, REPLACED, CUT):
        shutil.copy(whole / name, inputs / name)
    with started(job_file, *address, "--retry-failed", logs=tmp_path / "second") as run:
        finished = run.finish()
    assert finished.code == 0, finished
    assert parts(output) == expected
    assert failures_in(output) == []
    with started(job_file, *address, "--retry-failed", logs=tmp_path / "third") as run:
        finished = run.finish()
    assert finished.code == 0, finished
    assert finished.stdout.startswith(f"nothing to do: no fragment in {output} has failed\n")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that holds a few parts."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting takes rights")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_costs_the_parts_that_do_not_fit(
    one_rank: Annotated, workbench: Workbench, small_disk: Path, tmp_path: Path
) -> None:
    job_file = workbench.job("full", output={"path": str(small_disk / "out")})
    output, expected = small_disk / "out", parts(one_rank.output)
    address = ["--address", workbench.cluster.address]
    with started(job_file, *address, logs=tmp_path / "first") as run:
        finished = run.finish()
    assert finished.code in (1, 3), finished
    assert "No space left on device" in finished.stderr
    found = parts(output)
    assert 0 < len(found) < len(expected)
    assert found == {path: expected[path] for path in found}
    assert not list((output / "_incomplete").glob("*"))
    remount(small_disk, "size=64m")
    with started(job_file, *address, logs=tmp_path / "second") as run:
        finished = run.finish()
    assert finished.code == 0, finished
    assert parts(output) == expected
    assert failures_in(output) == []


@pytest.mark.slow
def test_an_output_that_may_not_be_written_any_more_costs_nothing_that_is_there(
    one_rank: Annotated, workbench: Workbench, small_disk: Path, tmp_path: Path
) -> None:
    remount(small_disk, "size=64m")
    job_file = workbench.job("read-only", output={"path": str(small_disk / "out")})
    output, expected = small_disk / "out", parts(one_rank.output)
    address = ["--address", workbench.cluster.address]
    with started(job_file, *address, logs=tmp_path / "first") as run:
        wait_until_under_way(run, output)
        make_read_only(small_disk, run)
        finished = run.finish()
    assert finished.code in (1, 3), finished
    assert "Read-only file system" in finished.stderr
    found = parts(output)
    assert found == {path: expected[path] for path in found}
    assert len(found) < len(expected)
    remount(small_disk, "rw")
    with started(job_file, *address, logs=tmp_path / "second") as run:
        finished = run.finish()
    assert finished.code == 0, finished
    assert parts(output) == expected
    assert num_finished(output) == len(expected)


def make_read_only(disk: Path, run: Run) -> None:
    """Between two parts, since a disk with a file open for writing stays as it is."""

    def is_done() -> bool:
        assert run.process.poll() is None
        command = ["mount", "-o", "remount,ro", str(disk)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    wait_for("disk that can be made read-only", is_done, timeout_s=30)
