"""One driver an output, with drivers that are really killed, stopped and woken, on a disk and on a real S3."""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.annotate.command import main
from pipeline.errors import ConfigError
from pipeline.output import lease
from pipeline.output.claim import Claim
from pipeline.output.lease import held_lease
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.local_files import WORKSPACES, LocalFiles
from pipeline.storage.locations import resolve_path
from tests.integration.conftest import forbid_ray
from tests.integration.corpus import Corpus, job_of, write_job
from tests.integration.lease_holder import HELD, LOST, REFUSED, contend, holder
from tests.integration.object_store import S3Server, s3_server
from tests.integration.output_runs import context
from tests.unit.pipeline.input_files import tree

LEASE = "_manifest/lease"
ELSEWHERE = "another boot"
SHORT_S = 3.0


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("bucket")
        yield server


@pytest.fixture(params=["disk", "S3"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "out")
    store: S3Server = request.getfixturevalue("store")
    return store.uri(f"bucket/{tmp_path.name}")


def claims(output: str) -> list[str]:
    folder = OutputFolder(*resolve_path(output, "output.path"))
    return [path for path, _ in folder.list_files(LEASE)]


def take(output: str) -> list[str]:
    """Hold the lease here for a moment; what was told meanwhile."""
    told: list[str] = []
    with held_lease(OutputFolder(*resolve_path(output, "output.path")), 60, told.append):
        assert len(claims(output)) == 1
    assert claims(output) == []
    return told


def test_the_second_driver_is_refused_and_told_who_holds_it_and_how_to_go_on(output: str) -> None:
    with holder(output) as first:
        assert first.says() == (HELD, "")
        with pytest.raises(ConfigError) as refusal:
            take(output)
        message = str(refusal.value)
        assert message.startswith("output.path: ")
        assert f"is in use by another run: process {first.process.pid} on " in message
        assert "since 20" in message
        assert f"(kill {first.process.pid}); if it dies, its hold ends 60 s later at most" in message
        first.end()
    assert take(output) == []


def test_a_dead_driver_of_this_machine_loses_it_at_once(output: str) -> None:
    with holder(output) as first:
        assert first.says() == (HELD, "")
        first.signal(signal.SIGKILL)
    assert len(claims(output)) == 1
    started = time.monotonic()
    assert take(output) == []
    assert time.monotonic() - started < 10


def test_a_dead_driver_of_another_machine_loses_it_when_its_time_is_over(output: str) -> None:
    with holder(output, SHORT_S, ELSEWHERE) as first:
        assert first.says() == (HELD, "")
        with pytest.raises(ConfigError, match="is in use by another run"):
            take(output)
        first.signal(signal.SIGKILL)
        started = time.monotonic()
        [told] = take(output)
        assert time.monotonic() - started > 0.9 * SHORT_S
        assert f"is claimed by process {first.process.pid} on " in told
        assert "waiting 3 s for a sign of life" in told


def test_a_driver_that_was_stopped_and_wakes_up_ends_itself(output: str) -> None:
    with holder(output, SHORT_S, ELSEWHERE) as first:
        assert first.says() == (HELD, "")
        first.signal(signal.SIGSTOP)
        with holder(output) as second:
            assert second.says() == (HELD, "")
            first.signal(signal.SIGCONT)
            said, why = first.says()
            assert said == LOST
            assert "the lease is lost" in why
            with holder(output) as third:
                assert third.says()[0] == REFUSED
            second.end()


def test_a_driver_that_cannot_renew_it_ends_itself_before_another_can_take_it(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with holder(str(output), SHORT_S, ELSEWHERE) as first:
        assert first.says() == (HELD, "")
        [claim] = (output / LEASE).iterdir()
        last = claim.read_bytes()
        # Files cannot be made in it any more, by root neither.
        (output / LEASE).rename(tmp_path / "away")
        (output / LEASE).write_bytes(b"")
        started = time.monotonic()
        assert first.says()[0] == LOST
        assert time.monotonic() - started < 1.1 * SHORT_S
    assert last.startswith(b"{")


def test_of_many_that_want_it_at_the_same_time_one_has_it(tmp_path: Path) -> None:
    here, there = context().Pipe()
    arguments = (str(tmp_path / "out"), 5, str(tmp_path / "proof"), there)
    processes = [context().Process(target=contend, args=arguments) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert [here.recv() for _ in processes] == [0] * len(processes)
    assert claims(str(tmp_path / "out")) == []


def test_a_claim_is_withdrawn_though_the_next_holder_has_taken_its_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver claims between the last look of another one and what that one does first."""
    output = str(tmp_path / "out")
    before = lease._claim

    def claim_late(held: OutputFolder, claim: Claim) -> None:
        before(held, claim)
        monkeypatch.setattr(lease, "_claim", before)
        other = Claim.of_this_process(60)
        other_held = replace(held, claim=other.token)
        before(other_held, other)
        assert isinstance(held.files, LocalFiles)
        held.files.take_over()
        lease.give_back(other_held)
        assert claims(output) == [f"{LEASE}/{claim.token}.json"]

    monkeypatch.setattr(lease, "_claim", claim_late)
    assert take(output) == []


def test_what_a_driver_left_that_was_killed_while_it_wrote_is_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "out" / LEASE
    folder.mkdir(parents=True)
    (folder / "0123.tmp").write_bytes(b'{"token":')
    take(str(tmp_path / "out"))
    assert list(folder.iterdir()) == []


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    take(str(tmp_path / "out"))
    assert set(tree(tmp_path / "out")) == {"_manifest", LEASE}


def test_the_command_is_refused(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forbid_ray(monkeypatch)
    output = tmp_path / "out"
    job_file = write_job(tmp_path / "job.toml", {**job_of(corpus), "output": {"path": str(output)}})
    with holder(str(output)) as first:
        assert first.says() == (HELD, "")
        before = tree(output)
        assert main([str(job_file)]) == 2
        assert capsys.readouterr().err.startswith(f"refused: output.path: {output} is in use by another run")
        assert main([str(job_file), "--plan"]) == 0
        [claim] = claims(str(output))
        workspace = f"{WORKSPACES}/{Path(claim).stem}"
        assert tree(output).keys() == before.keys() == {"_manifest", LEASE, claim, WORKSPACES, workspace}
