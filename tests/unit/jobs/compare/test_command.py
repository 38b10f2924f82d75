"""`python -m jobs.compare`: outputs on disk, what is printed and written, and exit code 2 for what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.compare import report
from jobs.compare.command import main

FIRST, SECOND = "de/a.0123abcd.00000-of-00002.parquet", "de/a.0123abcd.00001-of-00002.parquet"
SECRET = "Geheimnis"

ROOT = Path(__file__).resolve().parents[4]

Values = dict[str, list[Any]]


def table(values: Values) -> pa.Table:
    """Rows of an output: id, text, error, topic and vector."""
    types = {
        "id": pa.int64(),
        "text": pa.string(),
        "error": pa.string(),
        "topic": pa.struct([("label", pa.string()), ("score", pa.float32()), ("logits", pa.list_(pa.float32()))]),
        "vector": pa.list_(pa.float32(), 2),
    }
    return pa.table({name: pa.array(column, types.get(name)) for name, column in values.items()})


def topic(label: str, score: float) -> dict[str, Any]:
    return {"label": label, "score": score, "logits": [score, score]}


def rows() -> Values:
    """Two rows; the topic of the second is null."""
    return {
        "id": [1, 2],
        "text": [SECRET, None],
        "error": [None, "text is null"],
        "topic": [topic("a", 0.5), None],
        "vector": [[1.0, 0.0], [3.0, 4.0]],
    }


def write_output(folder: Path, parts: dict[str, Values]) -> Path:
    """An output folder, with what is in it beside the parts."""
    for path in ("_manifest/run.json", "_SUCCESS", "_staged/" + FIRST, "_x/" + FIRST, ".hidden.parquet"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"{}")
    for path, values in parts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(values), folder / path)
    return folder


def write_other(folder: Path, columns: dict[str, pa.Array]) -> Path:
    """An output with other columns in the place of some."""
    for part in (FIRST, SECOND):
        path = write_output(folder, {}) / part
        path.parent.mkdir(exist_ok=True)
        whole = table(rows())
        for name, column in columns.items():
            whole = whole.set_column(whole.schema.get_field_index(name), name, column)
        pq.write_table(whole, path)
    return folder


@pytest.fixture
def expected(tmp_path: Path) -> Path:
    return write_output(tmp_path / "expected", {FIRST: rows(), SECOND: rows()})


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("refused: ")
    return printed.err.removeprefix("refused: ").strip()


def printed_lines(text: str) -> dict[str, list[str]]:
    """The cells of each line by its name; two blanks or more are between cells."""
    lines = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {line[0]: line[1:] for line in lines if line}


def test_an_output_is_equal_to_itself(expected: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(expected, expected) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == "4 rows in 2 parts compared: all 5 columns are equal"
    lines = printed_lines(text)
    assert list(lines)[1:-1] == ["id", "text", "error", "topic.label", "topic.score", "topic.logits[]", "vector"]
    assert lines["id"] == ["4", "0"]
    assert lines["topic.score"] == ["2", "0", "0", "0", "0 %"]
    assert lines["vector"] == ["4", "0", "1.000000", "1.000000"]


def test_differences_of_all_parts_are_added_up(
    expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = rows() | {
        "text": ["anders", None],
        "error": [None, None],
        "topic": [topic("b", 0.25), topic("a", 1.0)],
        "vector": [[0.0, 1.0], [3.0, 4.0]],
    }
    longer = topic("a", 0.5) | {"logits": [0.5, 0.0, 0.0]}
    found = write_output(tmp_path / "found", {FIRST: other, SECOND: rows() | {"topic": [longer, None]}})
    json_file = tmp_path / "figures.json"
    assert run(expected, found, "--json", json_file) == 0
    text = capsys.readouterr().out
    lines = printed_lines(text)
    assert lines["column"] == [
        "compared", "differ", "in rows", "null in one", "mean |difference|", "greatest", "relative", "mean cosine",
        "least",
    ]  # fmt: skip
    assert lines["text"] == ["2", "1 (50.00 %)"]
    assert lines["error"] == ["1", "0", "1"]
    assert lines["topic"] == ["2", "1"]
    assert lines["topic.label"] == ["2", "1 (50.00 %)"]
    assert lines["topic.logits, lengths"] == ["2", "1 (50.00 %)"]
    assert lines["topic.logits[]"] == ["2", "2 (100 %)", "1", "0.25", "0.25", "50.00 %"]
    assert lines["topic.score"] == ["2", "1 (50.00 %)", "0.12", "0.25", "25.00 %"]
    assert lines["vector"] == ["4", "1 (25.00 %)", "0.750000", "0.000000"]
    assert text.splitlines()[-1] == (
        "4 rows in 2 parts compared: 4 of 5 columns differ (text, error, topic, vector)"
    )
    values = json.loads(json_file.read_text(encoding="utf-8"))
    assert {name: values[name] for name in ("rows", "parts", "is_equal", "different_columns")} == {
        "rows": 4, "parts": 2, "is_equal": False, "different_columns": ["text", "error", "topic", "vector"],
    }  # fmt: skip
    assert values["figures"]["topic.score"] == {
        "kind": "number", "num_compared": 2, "num_one_null": 0, "num_different_rows": 1, "num_different": 1,
        "share_different": 0.5, "num_not_finite": 0, "mean_difference": 0.125, "greatest_difference": 0.25,
        "mean_relative_difference": 0.25,
    }  # fmt: skip
    assert values["figures"]["vector"]["mean_cosine"] == 0.75
    assert values["figures"]["topic"] == {
        "kind": "struct", "num_compared": 2, "num_one_null": 1, "num_different_rows": 1
    }  # fmt: skip
    for output in (text, json_file.read_text(encoding="utf-8")):
        assert SECRET not in output
        assert "anders" not in output


def test_infinities_and_bits_have_columns_where_there_are_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bits = pa.list_(pa.uint8(), 1)
    folders = []
    for number, loss, byte in ((0, 1.0, 0b1111), (1, float("nan"), 0b1110)):
        folder = write_output(tmp_path / str(number), {})
        values = {"loss": pa.array([loss]), "v": pa.array([[byte]], bits), "n": pa.array([None], pa.float32())}
        (folder / "de").mkdir()
        pq.write_table(pa.table(values), folder / FIRST)
        folders.append(folder)
    assert run(*folders, "--json", tmp_path / "j") == 0
    lines = printed_lines(capsys.readouterr().out)
    assert lines["column"] == ["compared", "differ", "not finite", "bits"]
    assert lines["loss"] == ["1", "1 (100 %)", "1"]
    assert lines["v"] == ["1", "1 (100 %)", "12.50 %"]
    figures = json.loads((tmp_path / "j").read_text())["figures"]
    assert figures["n"]["share_different"] is figures["n"]["greatest_difference"] is None


def test_columns_of_one_side_only_are_listed(
    expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"new[0]": [1, 2], **{name: column for name, column in rows().items() if name != "text"}}
    found = write_output(tmp_path / "found", {FIRST: other, SECOND: other})
    assert run(expected, found) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "only in EXPECTED, not compared: text",
        "only in FOUND, not compared: new[0]",
        "4 rows in 2 parts compared: all 4 columns are equal",
    ]


def test_chosen_columns_only(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"id": pa.array(["1", "2"]), "text": pa.array(["x", "y"]), "error": pa.array([None, "text is blank"])}
    found = write_other(tmp_path / "found", other)
    assert "column id: found type string, expected int64" in refusal(capsys, expected, found)
    assert run(expected, found, "--columns", "vector, error") == 0
    text = capsys.readouterr().out
    assert list(printed_lines(text))[1:3] == ["vector", "error"]
    assert text.splitlines()[-1] == "4 rows in 2 parts compared: 1 of 2 columns differ (error)"


def test_a_column_that_is_named_twice_is_counted_once(expected: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(expected, expected, "--columns", "id,text, id") == 0
    assert printed_lines(capsys.readouterr().out)["id"] == ["4", "0"]


def test_names_are_printed_as_they_are(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["[bold]id", "[/x]", ":car:", "topic", "vector"]
    for folder in (expected, tmp_path / "found"):
        for part in (FIRST, SECOND):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table(rows()).rename_columns(names), folder / part)
        names[0] = ":dog:[x]"
    assert run(expected, tmp_path / "found") == 0
    text = capsys.readouterr().out
    assert {"[/x]", ":car:"} <= printed_lines(text).keys()
    assert "only in EXPECTED, not compared: [bold]id\nonly in FOUND, not compared: :dog:[x]\n" in text


def test_vectors_of_another_width_are_compared(
    expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = write_other(
        tmp_path / "found", {"vector": pa.array([[1.0, 0.0], [4.0, 3.0]], pa.list_(pa.float16(), 2))}
    )
    assert run(expected, found) == 0
    assert printed_lines(capsys.readouterr().out)["vector"] == ["4", "2 (50.00 %)", "0.980000", "0.960000"]


def test_a_folder_that_is_not_there(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, expected, tmp_path / "none")
    assert (
        message
        == f"FOUND: {tmp_path}/none does not exist, expected an output folder of jobs.annotate; check the path"
    )
    assert refusal(capsys, expected / FIRST, expected).startswith(
        f"EXPECTED: {expected / FIRST} is a file, expected"
    )
    message = refusal(capsys, expected, "nowhere://user:password@host/x?key=1")
    assert message.startswith("FOUND: nowhere://host/x cannot be opened: ")
    assert "password" not in message


def test_a_folder_without_parts(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = write_output(tmp_path / "found", {"plain.parquet": rows()})
    assert refusal(capsys, expected, found) == (
        f"FOUND: {found} has no parts, expected an output folder of jobs.annotate; check the path, or run the job "
        "first"
    )


def test_other_parts(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"b.0123abcd.{index:05}-of-00005.parquet" for index in range(5)]
    found = write_output(tmp_path / "found", {FIRST: rows(), **dict.fromkeys(names, rows())})
    assert refusal(capsys, expected, found).startswith(
        f"FOUND: {found} does not have the parts of {expected}: 1 only in EXPECTED ({SECOND}), 5 only in FOUND "
        f"({', '.join(names[:3])}, …); expected the same names"
    )


def test_another_number_of_rows(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = {name: column[:1] for name, column in rows().items()}
    found = write_output(tmp_path / "found", {FIRST: rows(), SECOND: short})
    assert refusal(capsys, expected, found).startswith(f"FOUND: {SECOND} has 1 row, expected 2 as in EXPECTED; ")


def test_a_column_that_is_not_there(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, expected, expected, "--columns", "id,topics") == (
        f"--columns: found 'topics', which {FIRST} of EXPECTED does not have; did you mean 'topic'? expected some "
        "of id, text, error, topic, vector"
    )
    other = {name: column for name, column in rows().items() if name != "text"}
    found = write_output(tmp_path / "found", {FIRST: other, SECOND: other})
    assert f"{FIRST} of FOUND does not have" in refusal(capsys, expected, found, "--columns", "text")


def test_another_type(expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    regression = pa.array([{"value": 1.0}, None], pa.struct([("value", pa.float32())]))
    found = write_other(tmp_path / "found", {"topic": regression})
    message = refusal(capsys, expected, found)
    assert message.startswith(
        f"FOUND: {FIRST}: column topic: found type struct<value: float>, expected struct<label"
    )
    assert message.endswith("or leave the column out with --columns")


@pytest.mark.parametrize("num_bytes", [40, 300])
def test_a_damaged_part(
    expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], num_bytes: int
) -> None:
    found = write_output(tmp_path / "found", {FIRST: rows(), SECOND: rows()})
    data = bytearray((found / SECOND).read_bytes())
    if num_bytes == 40:
        data = data[:num_bytes]
    else:
        data[4:num_bytes] = b"\xff" * (num_bytes - 4)
    (found / SECOND).write_bytes(data)
    assert refusal(capsys, expected, found).startswith(f"FOUND: {SECOND} of {found} cannot be read: ")


def test_a_json_file_that_cannot_be_written(
    expected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(expected, expected, "--json", tmp_path / "none" / "x.json") == 2
    printed = capsys.readouterr()
    assert "all 5 columns are equal" in printed.out
    assert printed.err == (
        f"refused: --json: {tmp_path}/none/x.json cannot be written: No such file or directory; choose another "
        "file\n"
    )


def test_cosines_and_shares_are_not_rounded_to_one_or_none() -> None:
    assert report._cosine("x")({"x": 0.99999999}) == "0.999999"
    assert report._cosine("x")({"x": 1.0}) == "1.000000"
    assert [report._percent(share) for share in (0, 1e-6, 0.1234, 0.999999, 1, 1.5)] == [
        "0 %", "<0.01 %", "12.34 %", "99.99 %", "100 %", "150.00 %",
    ]  # fmt: skip


def test_neither_ray_nor_torch_is_loaded() -> None:
    code = "import sys, jobs.compare.command\nprint(*sorted({'ray', 'torch', 'model'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
