"""The command up to the point where Ray would start: help, and what is refused."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.fit.command import main
from pipeline.exit_codes import REFUSED
from tests.example_jobs import CONFIGS, FIT
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model"), heads=frozenset())


def write_rows(path: Path, **columns: Any) -> None:
    texts = list(SENTENCES[:6])
    pq.write_table(pa.table({"text": texts, **columns}), path)


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> str:
    values = [f"output.path={tmp_path / 'out'}", *arguments]
    assert main([str(CONFIGS / FIT), *(f"--set={value}" for value in values)]) == REFUSED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("refused: ")
    assert not (tmp_path / "out").exists()
    return captured.err


def test_help_has_an_example_and_all_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "python -m jobs.fit jobs/configs/fit.toml --set output.path=fitted" in shown
    assert "probe_rows" in shown


def test_a_file_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.toml"]) == REFUSED
    assert "nowhere.toml" in capsys.readouterr().err


def test_models_and_columns_that_are_not_there_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.parquet"
    write_rows(rows, lang=["en"] * 6, topic=list("ababab"), tags=[["a"]] * 6)
    assert "model.path" in refused(capsys, tmp_path, f"input.path={rows}", f"model.path={tmp_path / 'none'}")
    found = refused(capsys, tmp_path, f"input.path={rows}", f"model.path={model}")
    assert "'quality'" in found


def test_a_label_column_of_another_type_is_refused_before_any_work(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.parquet"
    write_rows(rows, lang=["en"] * 6, topic=[{"a": 1}] * 6, tags=[["a"]] * 6, quality=[0.5] * 6)
    found = refused(capsys, tmp_path, f"input.path={rows}", f"model.path={model}")
    assert "heads.topic.label: column 'topic' has type struct<a: int64>, expected string" in found


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        (["a"] * 6, "heads.topic.label: column 'topic' has 1 label in 6 rows with one, expected two or more"),
        ([None] * 6, "heads.topic.label: column 'topic' has type null"),
        (
            pa.nulls(6, pa.string()),
            "heads.topic.label: column 'topic' has no label in any of 6 rows, expected two",
        ),
        (list("aaaaab"), "heads.topic.label: label 'b' has 1 rows, expected 20 at least, 5 in each of fit"),
    ],
)
def test_labels_that_no_head_can_be_fitted_to_are_refused_before_any_work(
    topics: list[str | None] | pa.Array,
    message: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = tmp_path / "rows.parquet"
    write_rows(rows, lang=["en"] * 6, topic=topics, tags=[["a"], []] * 3, quality=[0.5, 1.0] * 3)
    assert message in refused(capsys, tmp_path, f"input.path={rows}", f"model.path={model}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["heads.topic.label=topik"],
            "heads.topic.label: {rows}: column 'topik' is missing; did you mean 'topic'? ",
        ),
        (["input.split=part"], "input.split: {rows}: column 'part' is missing"),
        (["input.group=doc"], "input.group: {rows}: column 'doc' is missing"),
        (["input.text=body"], "input.text: {rows}: column 'body' is missing"),
        (["heads.tags.text=body"], "heads.tags.text: {rows}: column 'body' is missing"),
        (["input.text=quality"], "input.text, heads.quality.label: {rows}: column 'quality' has type double, exp"),
        (["features.layers=[99]"], "features.layers: found 99, expected 0 (the embeddings) to 2"),
        (["input.split=lang"], "input.split: found the value 'en', expected fit, choose, calibrate, test"),
        (
            ["heads.quality.min_rows=5"],
            "heads.quality.label: column 'quality' has 6 rows with a number, expected 20",
        ),
    ],
)
def test_what_is_refused_names_settings_of_the_fit(
    settings: list[str], message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before features are computed, which is done by a job with settings of other names."""
    rows = tmp_path / "rows.parquet"
    write_rows(rows, lang=["en"] * 6, topic=list("ababab"), tags=[["a"], []] * 3, quality=[0.5, 1.0] * 3)
    no_minimum = [f"heads.{name}.min_rows=0" for name in ("topic", "tags", "quality")]
    found = refused(capsys, tmp_path, f"input.path={rows}", f"model.path={model}", *no_minimum, *settings)
    assert found.startswith(f"refused: {message.format(rows=rows)}"), found


def test_a_file_without_rows_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    types = {"text": pa.string(), "lang": pa.string(), "topic": pa.string(), "tags": pa.list_(pa.string())}
    schema = pa.schema({**types, "quality": pa.float64()})
    pq.write_table(schema.empty_table(), tmp_path / "rows.parquet")
    found = refused(capsys, tmp_path, f"input.path={tmp_path / 'rows.parquet'}", f"model.path={model}")
    assert found == "refused: input.path: found no rows, expected rows with labels; name other files\n"


@pytest.mark.parametrize("output", ["file", "file/below"])
def test_an_output_that_is_no_folder_is_refused(
    output: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    values = (f"model.path={model}", f"output.path={tmp_path / output}")
    found = refused(capsys, tmp_path, *values)
    assert found.startswith(
        f"refused: output.path: {tmp_path / 'file'} is no folder, expected a folder for the heads"
    )


def test_an_example_names_its_own_command() -> None:
    lines = (CONFIGS / FIT).read_text(encoding="utf-8").splitlines()
    assert "#   python -m jobs.fit fit.toml" in lines
    assert all(len(line) <= 120 for line in lines)
