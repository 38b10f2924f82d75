"""Records that the workers have told are not read back, unless the listing contradicts them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from pyarrow import fs

from pipeline.output.manifest import Manifest, PartRecord, part_record_file
from pipeline.output.output_folder import SUCCESS, OutputFolder
from pipeline.output.part_writer import finish_part
from pipeline.output.run_output import RunOutput
from pipeline.output.written_records import WrittenRecords
from tests.simulation.drivers import Input, table_of

IDENTITY = {"model": "a"}
FILES = (Input("whole", "a", "m", 2), Input("single", "b", "m", 1))
PART = b"a part"


@pytest.fixture
def folder() -> Iterator[OutputFolder]:
    memory = fsspec.filesystem("memory")
    folder = OutputFolder(fs.PyFileSystem(fs.FSSpecHandler(memory)), "/bucket/out")
    Manifest(folder).begin(IDENTITY)
    yield folder
    memory.store.clear()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts whose records are read."""
    paths: list[str] = []
    whole = Manifest.part

    def part(self: Manifest, part_path: str, *, is_staged: bool = False) -> PartRecord | None:
        paths.append(part_path)
        return whole(self, part_path, is_staged=is_staged)

    monkeypatch.setattr(Manifest, "part", part)
    return paths


def begun(folder: OutputFolder, files: tuple[Input, ...] = FILES) -> RunOutput:
    plan: Any = SimpleNamespace(fragments=table_of(files), failed_files=())
    run = RunOutput(folder, plan, IDENTITY)
    run.begin()
    return run


def work(run: RunOutput, data: bytes = PART) -> dict[str, bytes]:
    """Write what is to be done; returns what is told of it."""
    staged, written = run.increment.staged, dict[str, bytes]()
    for fragment in run.increment.todo:
        counts = {"num_errors": 0, "num_tokens": 1, "num_windows": 1}
        record = finish_part(run.folder, fragment, data, staged_inputs=staged, errors={}, **counts)
        written.update([part_record_file(record, is_staged=fragment.relative_path in staged)])
    return written


def outcome(folder: OutputFolder) -> Mapping[str, bytes | None]:
    return {path: folder.read(path) for path, _ in folder.list_files()}


def test_what_was_told_is_not_read_and_the_output_is_the_same(folder: OutputFolder, read: list[str]) -> None:
    run = begun(folder)
    assert run.end(written=work(run))
    assert read == []
    told = outcome(folder)
    other = replace(folder, top="/bucket/other")
    Manifest(other).begin(IDENTITY)
    run = begun(other)
    work(run)
    assert run.end()
    assert len(read) == 3
    assert outcome(other) == told


def test_staged_parts_need_no_reading_either(folder: OutputFolder, read: list[str]) -> None:
    run = begun(folder)
    run.end(written=work(run))
    run = begun(folder, (replace(FILES[0], mark="n"), FILES[1]))
    assert run.increment.staged == {"whole"}
    read.clear()
    assert run.end(written=work(run, PART + b" of the touched file"))
    assert read == []
    assert begun(folder, (replace(FILES[0], mark="n"), FILES[1])).inventory.is_settled.all()


def test_a_record_whose_object_is_missing_does_not_count(folder: OutputFolder, read: list[str]) -> None:
    run = begun(folder)
    written = work(run)
    gone = min(written)
    folder.delete(gone)
    assert not run.end(written=written)
    assert read == []
    assert len(run.increment.todo) == 1
    assert folder.read(SUCCESS) is None


@pytest.mark.parametrize("is_part", [True, False])
def test_where_a_size_is_another_one_the_record_is_read(
    folder: OutputFolder, read: list[str], *, is_part: bool
) -> None:
    """A piece of a part or of a record, as an attempt after the one that told may leave it."""
    run = begun(folder)
    written, fragment = work(run), run.increment.todo[0]
    path = fragment.part_path if is_part else f"_manifest/parts/{fragment.part_path}.json"
    data = folder.read(path)
    assert data is not None
    folder.put(path, data[:-3])
    assert not run.end(written=written)
    assert read == [fragment.part_path]
    assert list(run.increment.todo) == [fragment]


def test_a_later_attempt_that_told_nothing_counts_by_what_it_wrote(folder: OutputFolder, read: list[str]) -> None:
    run = begun(folder)
    written = work(run)
    work(run, b"another part")
    assert run.end(written=written)
    assert len(read) == 3
    assert (run.inventory.num_bytes == [2 * len(b"another part"), len(b"another part")]).all()


def test_a_record_of_a_part_in_place_does_not_speak_for_a_staged_one(
    folder: OutputFolder, read: list[str]
) -> None:
    """A touched file gives parts of the same size: if the record of the new one is lost, it is not done."""
    run = begun(folder)
    run.end(written=work(run))
    touched = (replace(FILES[0], mark="n"), FILES[1])
    run = begun(folder, touched)
    read.clear()
    written = work(run)
    for path in written:
        folder.delete(path)
    assert not run.end(written=written)
    assert len(run.increment.todo) == 2
    assert len(read) == 2


def test_what_is_no_record_is_not_taken_for_one() -> None:
    records = WrittenRecords({"a": b"{}"})
    records.enter("a", 2)
    records.enter("b", 0)
    assert records.find("a", 0) is None
    assert records.find("b", 0) is None
