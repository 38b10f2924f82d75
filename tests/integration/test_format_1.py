"""An output that was begun by a version of format 1 goes on as it was begun, to the same bytes."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.output.json_records import record_json
from pipeline.output.manifest import RunRecord
from tests.integration.night import Night
from tests.integration.output_runs import Options
from tests.unit.pipeline.input_files import tree

COUNTS_OF_FORMAT_1 = ["format", "run", "files", "parts", "rows", "bytes", "errors", "tokens", "removed"]


def begin_in_format_1(output: Path) -> None:
    run = output / "_manifest/run.json"
    run.parent.mkdir(parents=True, exist_ok=True)
    run.write_bytes(record_json(RunRecord(1, dict(Options().identity))))


def test_an_output_of_format_1_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    night = Night(tmp_path)
    begin_in_format_1(night.output)
    assert night.run()
    record = json.loads(next((night.output / "_manifest/parts").rglob("a.*.json")).read_bytes())
    file = json.loads((night.output / "_manifest/files/a.json").read_bytes())
    assert not {"num_windows", "errors"} & (record.keys() | file.keys())
    summary = json.loads((night.output / "_SUCCESS").read_bytes())
    assert (list(summary), summary["format"]) == (COUNTS_OF_FORMAT_1, 1)
    assert all(set(pq.read_metadata(path).metadata) == {b"ARROW:schema"} for path in night.times())
    before = tree(night.output)
    assert night.run()
    assert tree(night.output) == before
    night.write("a", 27)
    night.write("new", 4)
    assert night.run()
    assert json.loads((night.output / "_manifest/run.json").read_bytes())["format"] == 1
    assert list(json.loads((night.output / "_SUCCESS").read_bytes())) == COUNTS_OF_FORMAT_1


def test_a_restart_brings_an_output_to_the_format_of_today(tmp_path: Path) -> None:
    night = Night(tmp_path)
    begin_in_format_1(night.output)
    assert night.run()
    other = Options(identity={"model": "b"}, is_restart=True)
    assert night.run(other)
    assert tree(night.output) == night.fresh(other)


def test_an_output_that_is_begun_now_counts_windows_and_kinds_of_errors(tmp_path: Path) -> None:
    night = Night(tmp_path)
    assert night.run()
    summary = json.loads((night.output / "_SUCCESS").read_bytes())
    assert (summary["format"], summary["windows"]) == (2, summary["rows"])
    assert summary["errors_by_kind"] == {"other": summary["errors"]}
    assert all(pq.read_metadata(path).metadata[b"run"] == b"a" for path in night.times())
    part = next((night.output / "_manifest/parts").rglob("a.*.json"))
    record = json.loads(part.read_bytes())
    # A record that lost its counts does not count.
    del record["errors"]
    part.write_text(json.dumps(record))
    (night.output / "_manifest/files/a.json").unlink()
    expected, before = night.fresh(), night.times()
    assert night.run()
    assert tree(night.output) == expected
    assert sum(before[path] != changed for path, changed in night.times().items()) == 1
