"""Fragments that have rows with an error are done again: their parts are replaced when all of a file are there."""

import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.integration.night import Night
from tests.integration.output_runs import Options, run_apart
from tests.unit.pipeline.input_files import tree

MENDED = Options(retries_errors=True, is_mended=True)


def num_errors(night: Night) -> int:
    return sum(
        len(column) - column.null_count for path in night.times() for column in [pq.read_table(path)["error"]]
    )


@pytest.fixture
def fresh(night: Night) -> dict[str, bytes | None]:
    """What a run writes in which no row has an error; before it, one of the parts is without."""
    night.write("even", 1, first=2)
    assert night.run()
    return night.fresh(MENDED)


def test_only_fragments_with_errors_are_done_again_and_seen_file_by_file(
    night: Night, fresh: dict[str, bytes | None]
) -> None:
    before = night.times()
    with_errors = {
        path for path in before if pq.read_table(path)["error"].null_count < pq.read_metadata(path).num_rows
    }
    assert 0 < len(with_errors) < len(before)
    seen: list[int] = []
    assert night.run(MENDED, on_part=lambda: seen.append(num_errors(night)))
    # Until all are there, readers see the old ones.
    assert seen == [seen[0]] * len(with_errors)
    assert tree(night.output) == fresh
    assert {path for path, changed in night.times().items() if changed != before[path]} == with_errors


def test_without_errors_nothing_is_done(night: Night) -> None:
    assert night.run(MENDED)
    before = night.times()
    assert night.run(MENDED, on_part=lambda: pytest.fail("a part was written"))
    assert night.times() == before


def test_rows_that_have_their_error_again_keep_it(night: Night) -> None:
    before = tree(night.output)
    assert night.run(Options(retries_errors=True))
    assert tree(night.output) == before


def test_what_was_begun_is_dropped_by_a_plain_run_and_continued_by_another_retry(
    night: Night, fresh: dict[str, bytes | None]
) -> None:
    before = tree(night.output)

    def die() -> None:
        raise KeyboardInterrupt

    for options, expected in ((Options(), before), (MENDED, fresh)):
        with pytest.raises(KeyboardInterrupt):
            night.run(MENDED, on_part=die)
        assert not (night.output / "_SUCCESS").exists()
        assert night.run(options)
        assert tree(night.output) == expected


def test_parts_that_another_run_has_staged_are_done_again_too(night: Night) -> None:
    night.write("a", 25, first=3)

    def die_once_one_with_an_error_is_staged() -> None:
        if any(
            pq.read_table(path)["error"].null_count < 10 for path in (night.output / "_staged").rglob("*.parquet*")
        ):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        night.run(on_part=die_once_one_with_an_error_is_staged)
    assert night.run(MENDED)
    assert tree(night.output) == night.fresh(MENDED)


def killed_everywhere(night: Night, fresh: dict[str, bytes | None], start: Path, first: int, stride: int) -> int:
    """Kill a retry at its steps `first`, `first + stride`, …; each time a plain run and another retry follow."""
    night.output.rename(start)
    names = {path.relative_to(start) for path in start.rglob("*.parquet")}
    for num_kills, step in enumerate(range(first, 10_000, stride)):
        shutil.rmtree(night.output, ignore_errors=True)
        shutil.copytree(start, night.output)
        if run_apart(str(night.inputs), str(night.output), MENDED, kill_at=step) == 0:
            return num_kills
        # What a plain run finds is whole: of each file the old parts or the new ones.
        assert night.run(), step
        assert {path.relative_to(night.output) for path in night.times()} == names, step
        assert night.run(MENDED), step
        assert tree(night.output) == fresh, step
    raise AssertionError("the run has no end")


def test_killed_at_some_steps_nothing_is_lost(
    night: Night, fresh: dict[str, bytes | None], tmp_path: Path
) -> None:
    first = random.randrange(40)
    assert killed_everywhere(night, fresh, tmp_path / "start", first, stride=40) >= 2, first


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_every_step_nothing_is_lost(
    night: Night, fresh: dict[str, bytes | None], tmp_path: Path
) -> None:
    assert killed_everywhere(night, fresh, tmp_path / "start", 0, stride=1) > 60
