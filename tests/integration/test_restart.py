"""Another run in the place of one that is there, and not before it is complete."""

import pytest
from pyarrow import fs

from pipeline.errors import ConfigError
from pipeline.output.manifest import RUN
from pipeline.output.output_folder import OutputFolder
from pipeline.output.restart import CLEARED, replace_output
from pipeline.storage import local_files
from tests.integration.night import OTHER_RUN, Night
from tests.integration.output_runs import Options
from tests.unit.pipeline.input_files import tree


def test_another_run_is_refused_and_nothing_is_touched(night: Night) -> None:
    before = tree(night.output)
    with pytest.raises(ConfigError, match=r"differs in model \(found a there, expected b"):
        night.run(Options(identity={"model": "b"}))
    assert tree(night.output) == before


def test_the_old_output_stays_until_the_new_one_is_complete(night: Night) -> None:
    before = night.times()
    success = (night.output / "_SUCCESS").read_bytes()
    seen = []

    def look() -> None:
        seen.append(night.times() == before and (night.output / "_SUCCESS").read_bytes() == success)

    assert night.run(OTHER_RUN, look)
    assert seen == [True] * 6
    assert tree(night.output) == night.fresh(Options(identity={"model": "b"}))


def test_with_the_same_identity_everything_is_done_again(night: Night) -> None:
    before, times = tree(night.output), night.times()
    assert night.run(Options(is_restart=True))
    assert tree(night.output) == before
    assert all(night.times()[path] > changed for path, changed in times.items())


def test_an_unfinished_one_goes_on_without_being_asked_again(night: Night) -> None:
    before = night.times()
    options = OTHER_RUN
    with pytest.raises(ZeroDivisionError):
        night.run(options, lambda: 1 // 0)
    assert night.times() == before
    num_parts = []
    assert night.run(Options(identity={"model": "b"}), lambda: num_parts.append(1))
    assert len(num_parts) == 5
    assert tree(night.output) == night.fresh(Options(identity={"model": "b"}))


def test_an_unfinished_one_is_left_alone_by_the_old_run_and_given_up_for_another(night: Night) -> None:
    with pytest.raises(ZeroDivisionError):
        night.run(OTHER_RUN, lambda: 1 // 0)
    assert night.run()
    assert (night.output / "_restart/_manifest/run.json").exists()
    assert night.run(Options(identity={"model": "c"}, is_restart=True))
    assert tree(night.output) == night.fresh(Options(identity={"model": "c"}))


def test_what_is_not_of_a_run_stays(night: Night) -> None:
    for name in ("README.txt", "x/notes.parquet", "_private/data.parquet"):
        (night.output / name).parent.mkdir(exist_ok=True)
        (night.output / name).write_bytes(b"mine")
    assert night.run(OTHER_RUN)
    for name in ("README.txt", "x/notes.parquet", "_private/data.parquet"):
        assert (night.output / name).read_bytes() == b"mine"


def test_what_an_earlier_driver_moved_is_flushed_before_success(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(local_files, "sync_folder", flushed.append)
    folders = {str(path.parent) for path in night.output.rglob("*.parquet")}
    assert len(folders) == 3
    # As after a driver whose disk failed once it had moved all parts.
    (night.output / "_SUCCESS").unlink()
    assert night.run()
    assert folders <= set(flushed[:-1])
    assert flushed[-1] == str(night.output)
    restart = night.output / "_restart"
    for name, content in (("_SUCCESS", "_SUCCESS"), (RUN, RUN), (CLEARED, RUN)):
        (restart / name).parent.mkdir(parents=True, exist_ok=True)
        (restart / name).write_bytes((night.output / content).read_bytes())
    flushed.clear()
    replace_output(OutputFolder(fs.LocalFileSystem(), str(night.output)))
    assert folders <= set(flushed)
