from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.job import JobConfig
from pipeline.driver.preview_job import ROWS, PreviewJob, Selection, write_preview_rows
from pipeline.errors import ConfigError, InputError
from pipeline.input.planning import plan_fragments
from pipeline.output.lease import held_lease
from pipeline.output.manifest import RUN
from pipeline.output.output_path import open_output
from tests.unit.pipeline.input_files import job, read_fragment, rows, tree, write

FIRST = Selection(10, is_sample=False)


def previewed(config: JobConfig, output: Path, selection: Selection = FIRST) -> PreviewJob:
    config = at(config, output)
    return write_preview_rows(config, plan_fragments(config), selection, print)


def at(config: JobConfig, output: Path) -> JobConfig:
    return config.model_copy(update={"output": config.output.model_copy(update={"path": str(output)})})


def read(config: JobConfig) -> pa.Table:
    """The rows as the job's own stages would read them, with the columns that they would write."""
    plan = plan_fragments(config)
    tables = [read_fragment(fragment, plan.read_schema, plan.filesystem) for fragment in plan.fragments]
    table = pa.concat_tables(tables)
    assert plan.carried_schema.names == list(config.input.columns or ())
    return table


def nested(num_rows: int) -> pa.Table:
    table = rows(num_rows)
    structs = [{"body": text, "size": i} for i, text in enumerate(table["text"].to_pylist())]
    kinds = table["lang"].dictionary_encode()
    return pa.table({"id": table["id"], "doc": structs, "kind": kinds})


@pytest.mark.parametrize("options", [{}, {"columns": ["id"]}, {"columns": ["doc.size", "lang"]}, {"hive": True}])
def test_the_rows_and_columns_are_those_of_the_job(options: dict[str, Any], tmp_path: Path) -> None:
    for lang, size in (("de", 6), ("sw", 30)):
        write(tmp_path / "in" / f"lang={lang}" / "a.parquet", nested(size), row_group_size=4)
    config = job(tmp_path / "in", text="doc.body", **options)
    found = previewed(config, tmp_path / "out")
    assert (found.num_rows, found.unreadable) == (10, ())
    whole, few = plan_fragments(config), plan_fragments(found.job)
    assert few.carried_schema == whole.carried_schema
    assert few.num_rows == 10
    table = read(found.job)
    assert table["doc.body"].to_pylist() == [f"row {i} " + "ä" * (i % 7) for i in [*range(6), *range(4)]]
    if "lang" in table.column_names:
        assert table["lang"].to_pylist() == ["de"] * 6 + ["sw"] * 4
    assert found.job.output.path == str(tmp_path / "out")


def test_as_many_shard_groups_have_something_to_do_as_in_the_job(tmp_path: Path) -> None:
    config = job(write(tmp_path / "in" / "a.parquet", rows(50)))
    config = config.model_copy(update={"model": config.model.model_copy(update={"replicas": 4})})
    assert len(plan_fragments(previewed(config, tmp_path / "out").job).fragments) == 4


def test_a_preview_is_thrown_away_for_the_next_one(tmp_path: Path) -> None:
    config = job(write(tmp_path / "in" / "a.parquet", rows(50)))
    output = tmp_path / "out"
    previewed(config, output)
    for name in (
        "_SUCCESS",
        RUN,
        "rows.00000000.00000-of-00001.parquet",
        "_restart/_SUCCESS",
        "_manifest/parts/x.json",
    ):
        write(output / name, rows(1))
    found = previewed(config, output, Selection(3, is_sample=True))
    files = {name for name, content in tree(output).items() if content is not None}
    assert files == {ROWS, "_preview/selection.json"}
    assert pq.read_table(pa.BufferReader((output / ROWS).read_bytes())).num_rows == found.num_rows == 3


@pytest.mark.parametrize("name", [RUN, "a.parquet", "notes.txt"])
def test_no_other_folder_is_thrown_away(name: str, tmp_path: Path) -> None:
    config = job(write(tmp_path / "in" / "a.parquet", rows(50)))
    write(tmp_path / "out" / name, rows(1))
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=r"^--preview-output: .*/out holds files that are not of a preview, "):
        previewed(config, tmp_path / "out")
    assert tree(tmp_path) == before


def test_a_preview_that_is_being_made_is_not_thrown_away(tmp_path: Path) -> None:
    config = job(write(tmp_path / "in" / "a.parquet", rows(50)))
    previewed(config, tmp_path / "out")
    before = (tmp_path / "out" / ROWS).read_bytes()
    with (
        held_lease(open_output(str(tmp_path / "out")), 60, print),
        pytest.raises(ConfigError, match="another run"),
    ):
        previewed(config, tmp_path / "out", Selection(3, is_sample=False))
    assert (tmp_path / "out" / ROWS).read_bytes() == before


def test_rows_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    config = job(tmp_path / "in", max_fragment_rows=4)
    write(tmp_path / "in" / "a.parquet", rows(6))
    write(tmp_path / "in" / "b.parquet", rows(6))
    plan = plan_fragments(config)
    write(tmp_path / "in" / "a.parquet", rows(7))
    found = write_preview_rows(at(config, tmp_path / "out"), plan, FIRST, print)
    assert found.num_rows == 4
    assert len(found.unreadable) == 2
    assert all("has changed since the job was planned" in reason for reason in found.unreadable)


def test_an_input_without_rows_is_refused(tmp_path: Path) -> None:
    config = job(write(tmp_path / "in" / "a.parquet", rows(0)))
    with pytest.raises(InputError, match=r"^input\.path: found no row that can be read among 0 rows, expected"):
        previewed(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
