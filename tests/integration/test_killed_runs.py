"""Runs killed at any of their steps, on an input that changes: the next one ends them as if nothing had been."""

import os
import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.integration.night import OTHER_RUN, Night
from tests.integration.output_runs import Options, run_apart
from tests.unit.pipeline.input_files import tree

KILLED = -9
RUNS = pytest.mark.parametrize(
    "options", [Options(), OTHER_RUN, Options(is_restart=True)], ids=["increment", "other run", "restart"]
)


def changed(night: Night) -> None:
    """The next day: one file longer, one without rows, one new."""
    night.write("a", 35, first=3)
    night.write("x/b", 0)
    night.write("d", 3)


def killed_everywhere(night: Night, tmp_path: Path, options: Options, first: int, stride: int) -> int:
    """Kill a run on the changed input at its steps `first`, `first + stride`, …; each time another one ends it."""
    changed(night)
    expected = night.fresh(Options(identity=options.identity))
    start = tmp_path / "start"
    night.output.rename(start)
    for num_kills, step in enumerate(range(first, 10_000, stride)):
        shutil.rmtree(night.output, ignore_errors=True)
        shutil.copytree(start, night.output)
        code = run_apart(str(night.inputs), str(night.output), options, step)
        if code == 0:
            return num_kills
        assert code == KILLED
        assert all(len(night.versions(name.stem)) == 1 for name in night.parts()), step
        for path in night.output.rglob("*.parquet"):
            pq.read_table(path)
        assert night.run(options)
        assert tree(night.output) == expected, step
    raise AssertionError("the run has no end")


@RUNS
def test_killed_at_some_steps_the_next_run_completes_it(night: Night, tmp_path: Path, options: Options) -> None:
    first = random.randrange(30)
    assert killed_everywhere(night, tmp_path, options, first, stride=30) >= 2, first


@pytest.mark.slow
@pytest.mark.timeout(1800)
@RUNS
def test_killed_at_every_step_the_next_run_completes_it(night: Night, tmp_path: Path, options: Options) -> None:
    assert killed_everywhere(night, tmp_path, options, 0, stride=1) > 60


def test_empty_folders_of_a_killed_run_go_with_the_next_one(night: Night) -> None:
    assert night.run()
    expected = tree(night.output)
    for folder in ("_manifest/parts/gone/lang=de", "gone/lang=de"):
        (night.output / folder).mkdir(parents=True)
    assert night.run()
    assert tree(night.output) == expected


def test_empty_folders_of_others_stay(night: Night) -> None:
    folders = ["exchange/inbox", "x/mine", "_private"]
    for folder in folders:
        (night.output / folder).mkdir(parents=True)
    for options in (Options(prunes=True), Options(is_restart=True), OTHER_RUN):
        night.write("x/b", 7)
        (night.inputs / "a.parquet").unlink(missing_ok=True)
        assert night.run(options)
        assert all((night.output / folder).is_dir() for folder in folders)


def test_a_folder_that_was_made_for_a_part_and_has_none_goes(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = night.write("new/lang=fr/e", 3)

    def put(*args: object) -> None:
        (night.output / "new/lang=fr").mkdir(parents=True)
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.output.part_writer.OutputFolder.put", put)
        with pytest.raises(ZeroDivisionError):
            night.run()
    assert (night.output / "new/lang=fr").is_dir()
    path.unlink()
    assert night.run()
    assert tree(night.output) == night.fresh()


def some_night(night: Night, chance: random.Random) -> None:
    """Anything that can happen to an input in a day, and a run that may be killed."""
    name = chance.choice(["a", "x/b", "x/lang=de/c", "d", "e"])
    path = night.inputs / f"{name}.parquet"
    event = chance.choice(["write", "write", "touch", "remove", "nothing"])
    if event == "write":
        night.write(name, chance.randrange(40), chance.randrange(5))
    elif event == "touch" and path.exists():
        os.utime(path, ns=(0, chance.randrange(10**18)))
    elif event == "remove":
        path.unlink(missing_ok=True)
    options = Options(is_restart=chance.random() < 0.1, prunes=chance.random() < 0.2)
    assert run_apart(str(night.inputs), str(night.output), options, chance.randrange(90)) in (0, KILLED)
    for part in night.parts():
        assert len(night.versions(part.stem)) == 1


def live_through(night: Night, num_nights: int, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    night.write("keep", 4)
    for _ in range(num_nights):
        some_night(night, chance)
    assert night.run(Options(prunes=True))
    assert tree(night.output) == night.fresh()


def test_any_history_ends_with_what_a_first_run_writes(night: Night) -> None:
    live_through(night, 12, seed=random.randrange(10**6))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(40))
def test_many_histories_end_with_what_a_first_run_writes(night: Night, seed: int) -> None:
    live_through(night, 12, seed)
