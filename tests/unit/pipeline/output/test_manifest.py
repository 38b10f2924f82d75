import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from pyarrow import fs

from pipeline.errors import ConfigError, OutputError
from pipeline.output.manifest import FileRecord, Manifest, PartRecord, file_record_path, part_record_path
from pipeline.output.output_folder import OutputFolder

IDENTITY = {"config": "c0ffee", "model": "abc", "heads": "123"}
FILE = FileRecord(
    input_path="a.parquet",
    input_version="v",
    input_mark="etag:1",
    num_parts=2,
    num_rows=20,
    num_bytes=8,
    num_errors=1,
    num_tokens=99,
)


@pytest.fixture(params=["local", "memory"])
def manifest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manifest]:
    """A manifest on a local file system, and in a store."""
    if request.param == "local":
        yield Manifest(OutputFolder(fs.LocalFileSystem(), str(tmp_path / "out")))
        return
    store = fsspec.filesystem("memory")
    yield Manifest(OutputFolder(fs.PyFileSystem(fs.FSSpecHandler(store)), "/bucket/out"))
    store.store.clear()


def record(part_path: str) -> PartRecord:
    return PartRecord(
        part_path=part_path,
        input_path="a.parquet",
        input_version="v",
        input_mark="etag:1",
        first_row=0,
        num_rows=10,
        num_bytes=4,
        sha256="0" * 64,
        num_errors=1,
        num_tokens=99,
        versions={"torch": "2"},
    )


def put(manifest: Manifest, path: str, data: bytes) -> None:
    manifest.folder.put(path, data)


def test_a_run_is_begun_and_goes_on(manifest: Manifest) -> None:
    assert manifest.identity() is None
    assert manifest.begin(IDENTITY) is False
    assert manifest.begin(dict(reversed(IDENTITY.items()))) is True
    put(manifest, "p.parquet", b"part")
    assert manifest.begin(IDENTITY) is True
    assert manifest.identity() == IDENTITY


def test_a_run_goes_on_with_what_it_was_begun_with(manifest: Manifest) -> None:
    assert manifest.token_budget() is None
    manifest.begin(IDENTITY)
    assert manifest.token_budget() is None
    manifest.settle(dtype="float32", token_budget=2048)
    manifest.settle(dtype="float32", token_budget=2048)
    with pytest.raises(ConfigError, match=r"model\.dtype: found bfloat16, .* expected float32, .* --restart"):
        manifest.settle(dtype="bfloat16", token_budget=2048)
    assert manifest.begin(IDENTITY)
    assert manifest.token_budget() == 2048
    manifest.settle(dtype="float32", token_budget=2048)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({**IDENTITY, "model": "xyz"}, "in model (found abc there, expected xyz as in this job); choose"),
        (
            {**IDENTITY, "model": "xyz", "config": "x"},
            "in config (found c0ffee there, expected x as in this job), model (found abc there, ",
        ),
        ({"config": "x", "model": "y", "heads": "z"}, "which differs in config, model, heads; choose"),
        ({**IDENTITY, "new": "1"}, "in new (found nothing there, expected 1 as"),
        ({"config": "c0ffee", "model": "abc"}, "in heads (found 123 there, expected nothing as"),
    ],
)
def test_another_run_is_refused(manifest: Manifest, other: dict[str, str], named: str) -> None:
    manifest.begin(IDENTITY)
    put(manifest, "a.5f2c9a1e.00000-of-00001.parquet", b"part")
    with pytest.raises(ConfigError) as caught:
        manifest.begin(other)
    message = str(caught.value)
    assert message.startswith(f"output.path: {manifest.folder.root} belongs to another run, which differs in ")
    assert named in message
    assert "choose another output.path, or add --restart to" in message
    assert manifest.begin(IDENTITY) is True


OTHER = {**IDENTITY, "model": "xyz"}


def test_a_run_that_left_nothing_makes_way_for_another_one(manifest: Manifest) -> None:
    manifest.begin(IDENTITY)
    manifest.settle(dtype="float32", token_budget=2048)
    put(manifest, "_manifest/runs/call.json", b"{}")
    put(manifest, "notes.txt", b"of someone else")
    if not manifest.folder.is_local:
        # A part of it may still land there, and would be taken for one of the other run.
        with pytest.raises(ConfigError, match="belongs to another run"):
            manifest.begin(OTHER)
        return
    assert manifest.begin(OTHER) is False
    assert (manifest.identity(), manifest.token_budget()) == (OTHER, None)
    assert manifest.begin(OTHER) is True
    assert manifest.folder.read("_manifest/runs/call.json") == b"{}"


@pytest.mark.parametrize(
    "path",
    [
        "x/a.5f2c9a1e.00000-of-00001.parquet",
        "_SUCCESS",
        "_manifest/parts/a.5f2c9a1e.00000-of-00001.parquet.json",
        "_manifest/files/a.json",
        "_manifest/failed/a.5f2c9a1e.00000-of-00001.parquet.json",
        "_manifest/staged/a.5f2c9a1e.00000-of-00001.parquet.json",
        "_staged/a.5f2c9a1e.00000-of-00001.parquet.staged",
    ],
)
def test_whatever_a_run_left_keeps_the_output_for_it(path: str, manifest: Manifest) -> None:
    manifest.begin(IDENTITY)
    put(manifest, path, b"{}")
    with pytest.raises(ConfigError, match="belongs to another run"):
        manifest.begin(OTHER)
    assert manifest.identity() == IDENTITY


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "5", '{"format": 1}', '{"format": 1, "identity": 5}'])
def test_a_damaged_run_file_is_refused(manifest: Manifest, text: str) -> None:
    put(manifest, "_manifest/run.json", text.encode())
    with pytest.raises(ConfigError, match=r"run\.json is damaged"):
        manifest.begin(IDENTITY)


def test_a_manifest_of_another_time_is_refused(manifest: Manifest) -> None:
    put(manifest, "_manifest/run.json", b'{"format": 3, "identity": {}}')
    with pytest.raises(ConfigError, match=r"run\.json has format 3, expected 1 or 2; restore it"):
        manifest.begin(IDENTITY)


def test_a_folder_with_parquet_files_of_no_run_is_refused(manifest: Manifest) -> None:
    put(manifest, "notes.txt", b"fine")
    put(manifest, "x/other.parquet", b"part")
    with pytest.raises(ConfigError, match=r"holds 1 Parquet file that .* such as x/other\.parquet"):
        manifest.begin(IDENTITY)
    assert manifest.identity() is None


def test_records_come_back(manifest: Manifest) -> None:
    manifest.record(record("a/p.parquet"))
    manifest.record_file("x/lang=de/a", FILE)
    assert manifest.part("a/p.parquet") == record("a/p.parquet")
    assert manifest.file("x/lang=de/a") == FILE
    assert manifest.part("q.parquet") is None
    assert manifest.file("a") is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '"part"', json.dumps({"part_path": "p"}), '{"unknown": 1}', "\u00ff"],
)
def test_a_record_that_is_damaged_does_not_count(manifest: Manifest, text: str) -> None:
    put(manifest, part_record_path("p.parquet"), text.encode("latin-1"))
    put(manifest, file_record_path("p"), text.encode("latin-1"))
    assert manifest.part("p.parquet") is None
    assert manifest.file("p") is None


def test_files_are_plain_json(tmp_path: Path) -> None:
    manifest = Manifest(OutputFolder(fs.LocalFileSystem(), str(tmp_path)))
    manifest.begin(IDENTITY)
    manifest.record(record("a/p.parquet"))
    run = json.loads((tmp_path / "_manifest/run.json").read_text())
    assert run == {"format": 2, "identity": IDENTITY}
    text = (tmp_path / "_manifest/parts/a/p.parquet.json").read_text()
    assert json.loads(text)["num_tokens"] == 99


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "_manifest").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        Manifest(OutputFolder(fs.LocalFileSystem(), str(tmp_path))).record(record("p.parquet"))


def test_the_size_of_fragments_is_that_of_the_run_alone(tmp_path: Path) -> None:
    manifest = Manifest(OutputFolder(fs.LocalFileSystem(), str(tmp_path)))
    assert manifest.max_fragment_rows({"model": "a"}) is None
    manifest.begin({"model": "a"}, max_fragment_rows=8192)
    assert manifest.max_fragment_rows({"model": "a"}) == 8192
    assert manifest.max_fragment_rows({"model": "b"}) is None
