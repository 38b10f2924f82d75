import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from pyarrow import fs

from pipeline.errors import ConfigError, InputError, OutputError
from pipeline.fragments import Fragment
from pipeline.manifest import Manifest, PartRecord, content_digest, remaining_fragments
from pipeline.planning import plan_fragments
from pipeline.storage import put_file
from tests.unit.pipeline.input_files import job, rows, write

IDENTITY = {"config": "c0ffee", "model": "abc", "heads": "123"}


@pytest.fixture(params=["local", "memory"])
def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manifest]:
    """A manifest on a local file system, and in a store."""
    if request.param == "local":
        yield Manifest(fs.LocalFileSystem(), str(tmp_path / "out"))
        return
    store = fsspec.filesystem("memory")
    yield Manifest(fs.PyFileSystem(fs.FSSpecHandler(store)), "/bucket/out")
    store.store.clear()


def record(part_path: str, num_bytes: int = 4) -> PartRecord:
    return PartRecord(
        part_path=part_path,
        input_path="a.parquet",
        input_version="v",
        first_row=0,
        num_rows=10,
        num_bytes=num_bytes,
        sha256="0" * 64,
        num_errors=1,
        num_tokens=99,
        seconds=0.25,
    )


def put(manifest: Manifest, path: str, data: bytes) -> None:
    put_file(manifest.filesystem, manifest.root, path, data)


def test_a_run_is_begun_and_goes_on(manifest: Manifest) -> None:
    assert manifest.open_run(IDENTITY) is False
    assert manifest.open_run(dict(reversed(IDENTITY.items()))) is True
    put(manifest, "p.parquet", b"part")
    manifest.record(record("p.parquet"))
    assert manifest.open_run(IDENTITY) is True


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({**IDENTITY, "model": "xyz"}, "differs in model;"),
        ({**IDENTITY, "model": "xyz", "config": "x"}, "differs in config, model;"),
        ({**IDENTITY, "new": "1"}, "differs in new;"),
        ({"config": "c0ffee", "model": "abc"}, "differs in heads;"),
    ],
)
def test_another_run_is_refused(manifest: Manifest, other: dict[str, str], named: str) -> None:
    manifest.open_run(IDENTITY)
    with pytest.raises(ConfigError) as caught:
        manifest.open_run(other)
    message = str(caught.value)
    assert message.startswith(f"output.path: {manifest.root} belongs to another run")
    assert named in message
    assert "choose another output, or remove the folder" in message
    assert manifest.open_run(IDENTITY) is True


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "5"])
def test_a_damaged_run_file_is_refused(manifest: Manifest, text: str) -> None:
    put(manifest, "_manifest/run.json", text.encode())
    with pytest.raises(ConfigError, match=r"run\.json is damaged"):
        manifest.open_run(IDENTITY)


def test_a_folder_with_parquet_files_of_no_run_is_refused(manifest: Manifest) -> None:
    put(manifest, "notes.txt", b"fine")
    put(manifest, "x/other.parquet", b"part")
    with pytest.raises(ConfigError, match=r"holds 1 Parquet files .* such as x/other\.parquet"):
        manifest.open_run(IDENTITY)


def test_finished_parts_are_those_with_a_record_and_a_whole_file(manifest: Manifest) -> None:
    manifest.open_run(IDENTITY)
    assert manifest.finished() == {}
    for path in ("a/b/done.parquet", "done.parquet", "unrecorded.parquet", "cut.parquet"):
        put(manifest, path, b"part")
    for path in ("a/b/done.parquet", "done.parquet", "gone.parquet"):
        manifest.record(record(path))
    manifest.record(record("cut.parquet", num_bytes=5))
    expected = {path: record(path) for path in ("a/b/done.parquet", "done.parquet")}
    assert manifest.finished() == expected
    manifest.record(record("done.parquet"))
    assert manifest.finished() == expected


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '"part"', json.dumps({"part_path": "p.parquet"}), '{"unknown": 1}'],
)
def test_a_record_that_is_damaged_does_not_count(manifest: Manifest, text: str) -> None:
    put(manifest, "p.parquet", b"part")
    put(manifest, "_manifest/parts/p.parquet.json", text.encode())
    assert manifest.finished() == {}


def test_a_record_under_the_name_of_another_part_does_not_count(manifest: Manifest) -> None:
    put(manifest, "p.parquet", b"part")
    put(manifest, "q.parquet", b"part")
    manifest.record(record("p.parquet"))
    source = f"{manifest.root}/_manifest/parts/p.parquet.json"
    with manifest.filesystem.open_input_file(source) as file:
        put(manifest, "_manifest/parts/q.parquet.json", file.read())
    assert list(manifest.finished()) == ["p.parquet"]


def test_files_are_plain_json(tmp_path: Path) -> None:
    manifest = Manifest(fs.LocalFileSystem(), str(tmp_path))
    manifest.open_run(IDENTITY)
    manifest.record(record("a/p.parquet"))
    assert json.loads((tmp_path / "_manifest/run.json").read_text()) == {"identity": IDENTITY}
    text = (tmp_path / "_manifest/parts/a/p.parquet.json").read_text()
    assert json.loads(text)["num_tokens"] == 99


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "_manifest").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        Manifest(fs.LocalFileSystem(), str(tmp_path)).record(record("p.parquet"))


class TestRemainingFragments:
    @pytest.fixture
    def fragments(self, tmp_path: Path) -> tuple[Fragment, ...]:
        write(tmp_path / "a.parquet", rows(25))
        write(tmp_path / "b/c.parquet", rows(5))
        return plan_fragments(job(tmp_path, max_fragment_rows=10)).fragments

    def finished(self, *fragments: Fragment) -> dict[str, PartRecord]:
        return {
            f.part_path: replace(
                record(f.part_path),
                input_path=f.relative_path,
                input_version=f.version,
                first_row=f.first_row,
                num_rows=f.num_rows,
            )
            for f in fragments
        }

    def test_finished_ones_are_taken_away(self, fragments: tuple[Fragment, ...]) -> None:
        assert len(fragments) == 4
        assert remaining_fragments(fragments, {}) == list(fragments)
        done = self.finished(fragments[1], fragments[3])
        assert remaining_fragments(fragments, done) == [fragments[0], fragments[2]]
        assert remaining_fragments(fragments, self.finished(*fragments)) == []

    def test_files_may_come_and_go(self, fragments: tuple[Fragment, ...]) -> None:
        done = self.finished(*fragments)
        assert remaining_fragments(fragments[:3], done) == []
        assert remaining_fragments(fragments, self.finished(*fragments[:3])) == [fragments[3]]

    def test_a_file_that_has_changed_is_refused(self, tmp_path: Path, fragments: tuple[Fragment, ...]) -> None:
        done = self.finished(*fragments)
        for changed in (rows(25, first=1), rows(35), rows(5)):
            write(tmp_path / "a.parquet", changed)
            planned = plan_fragments(job(tmp_path, max_fragment_rows=10)).fragments
            with pytest.raises(InputError, match=r"1 files have changed.*: a\.parquet; restore"):
                remaining_fragments(planned, done)

    def test_a_file_that_is_cut_otherwise_is_refused(
        self, tmp_path: Path, fragments: tuple[Fragment, ...]
    ) -> None:
        planned = plan_fragments(job(tmp_path, max_fragment_rows=13)).fragments
        with pytest.raises(InputError, match=r"a\.parquet"):
            remaining_fragments(planned, self.finished(fragments[0]))


class TestContentDigest:
    def test_is_of_names_and_contents_alone(self, tmp_path: Path) -> None:
        for folder in ("x", "y"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a.safetensors").write_bytes(b"a" * 3_000_000)
            (tmp_path / folder / "b.safetensors").write_bytes(b"b")
        x = [tmp_path / "x" / f"{name}.safetensors" for name in "ab"]
        y = [tmp_path / "y" / f"{name}.safetensors" for name in "ba"]
        digest = content_digest(x)
        assert len(digest) == 64
        assert content_digest(y) == content_digest(iter(x)) == digest

        (tmp_path / "y/b.safetensors").write_bytes(b"c")
        assert content_digest(y) != digest
        assert content_digest(x[:1]) != digest
        (tmp_path / "x/b.safetensors").rename(tmp_path / "x/c.safetensors")
        assert content_digest([x[0], tmp_path / "x/c.safetensors"]) != digest

    def test_files_of_the_same_name_all_count(self, tmp_path: Path) -> None:
        for folder in ("x", "y"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a").write_bytes(folder.encode())
        x, y = tmp_path / "x/a", tmp_path / "y/a"
        assert len({content_digest(paths) for paths in ([x], [y], [x, y])}) == 3
        assert content_digest([x, y]) == content_digest([y, x])
