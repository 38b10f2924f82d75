"""A renewal that is late or finds the claim gone loses the lease, also where it has just written the claim."""

from pathlib import Path

import pytest
from pyarrow import fs

from pipeline.output import heartbeat
from pipeline.output.claim import Claim
from pipeline.output.heartbeat import Heartbeat
from pipeline.output.output_folder import OutputFolder
from pipeline.storage.local_files import LocalFiles
from pipeline.storage.store_files import CLAIMS

TIMEOUT_S = 60.0


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(heartbeat, "time", clock)
    return clock


def held(root: Path) -> tuple[LocalFiles, Heartbeat, Path]:
    claim = Claim.of_this_process(TIMEOUT_S)
    folder = OutputFolder(fs.LocalFileSystem(), str(root), claim=claim.token)
    files = folder.files
    assert isinstance(files, LocalFiles)
    files.open_workspace()
    path = f"{CLAIMS}/{claim.token}.json"
    files.write(path, claim.to_json())
    return files, Heartbeat(folder, claim), root / path


def test_renews_the_claim(tmp_path: Path, clock: Clock) -> None:
    _, beats, path = held(tmp_path)
    first = path.read_bytes()
    for _ in range(20):
        clock.now += 10
        beats.beat()
    assert not beats.is_lost
    assert path.read_bytes() != first


def test_a_renewal_that_takes_too_long_counts_as_none(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, beats, _ = held(tmp_path)
    write = LocalFiles.write

    def hangs(*args: object, **options: object) -> None:
        clock.now += TIMEOUT_S
        write(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalFiles, "write", hangs)
    clock.now += 10
    beats.beat()
    assert beats.is_lost


def test_errors_are_borne_until_others_may_take_the_claim_for_dead(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, beats, _ = held(tmp_path)

    def fails(*args: object, **options: object) -> None:
        raise OSError("the store is down")

    monkeypatch.setattr(LocalFiles, "write", fails)
    lost = []
    for _ in range(6):
        clock.now += 10
        beats.beat()
        lost.append(beats.is_lost)
    assert lost == [False] * 5 + [True]


@pytest.mark.parametrize("what", ["claim", "workspace"])
def test_the_lease_is_lost_with(what: str, tmp_path: Path, clock: Clock) -> None:
    files, beats, path = held(tmp_path)
    if what == "claim":
        path.unlink()
    else:
        next_holder = LocalFiles(str(tmp_path), "00000002-x")
        next_holder.open_workspace()
        next_holder.take_over()
    clock.now += 10
    beats.beat()
    assert beats.is_lost
    assert path.exists() == (what == "workspace")
    assert files.claim is not None
