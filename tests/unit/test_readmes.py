"""What the READMEs say: jobs, commands, snippets, paths, columns and rooms, each checked against the code."""

import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import torch
from pydantic.fields import FieldInfo

from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.benchmarks.mt_quality import MT_QUALITY
from jobs.evaluate.run import OWN_TASKS
from jobs.evaluate.settings import load_settings
from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM
from pipeline.config.job import load_job_config
from pipeline.replica.memory import rank_memory
from pipeline.row_errors import ErrorKind
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS
from pipeline.tasks.sections import TextHeadSection
from tests.annotated_by_hand import BAD_ROW, NUM_DIMENSIONS, NUM_ROWS, write_input_and_output
from tests.comet_checkpoints import converted_options
from tests.unit.pipeline.compute_fixtures import make_head
from tests.unit.test_floors import FLOORS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted(p for part in FLOORS | {"jobs": []} for p in (ROOT / part).rglob("*.md"))]
PARSERS = {
    "jobs.annotate": "jobs.annotate.command",
    "jobs.benchmark": "jobs.benchmark.command",
    "jobs.compare": "jobs.compare.command",
    "jobs.convert": "jobs.convert",
    "jobs.evaluate": "jobs.evaluate.command",
    "jobs.reference": "jobs.reference",
    "jobs.report": "jobs.report.annotation.command",
    "jobs.status": "jobs.status",
}
NEEDS_MORE = "# Needs "
"""How a snippet begins that needs more than this machine has; it is only compiled."""


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language; "" for those without one."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def code_spans(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def command_lines(page: Path) -> Iterator[list[str]]:
    """The module and the arguments of each `python -m jobs.NAME`, with shell variables of the page put in."""
    lines = [line for text in blocks(page, "sh") for line in text.replace("\\\n", " ").splitlines()]
    variables = dict(match.groups() for line in lines if (match := re.fullmatch(r'(\w+)="(.*)"', line)))
    for line in [*lines, *(span for span in code_spans(page) if "[" not in span)]:
        if match := re.search(r"python -m (jobs\..*)", line):
            command = re.sub(r"\$(\w+)", lambda variable: variables[variable[1]], match[1].split(" >")[0])
            yield shlex.split(command, comments=True)


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table whose first line begins with `heading`, without code marks."""
    lines = page.read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(heading)) + 2
    table = lines[begin : next(i for i in range(begin, len(lines) + 1) if lines[i : i + 1] in ([], [""]))]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table]


EVALUATION = ROOT / "jobs/evaluate/README.md"
JOBS = [(page, text) for page in PAGES for text in blocks(page, "toml") if page != EVALUATION]
COMMANDS = [(page, line) for page in PAGES for line in command_lines(page)]


def test_all_pages_are_found() -> None:
    assert {"README.md", "pipeline/README.md", "model/README.md", "jobs/compare/README.md"} <= {*map(shown, PAGES)}
    assert JOBS
    assert set(PARSERS) <= {line[0] for _, line in COMMANDS}


def test_every_evaluation_is_valid(tmp_path: Path) -> None:
    for text in blocks(EVALUATION, "toml"):
        (tmp_path / "evaluation.toml").write_text(text, encoding="utf-8")
        settings = load_settings(tmp_path / "evaluation.toml", {}, [])
        assert settings.benchmark in BENCHMARKS


def test_every_benchmark_is_on_its_page() -> None:
    named = {
        name for cells in rows(EVALUATION, "| name | metrics |") for name in re.findall(r"\w[\w-]+", cells[0])
    }
    assert named - {"TASK"} == {*BENCHMARKS, *OWN_TASKS, MT_QUALITY}


@pytest.mark.parametrize(("page", "text"), JOBS, ids=[shown(page) for page, _ in JOBS])
def test_every_job_is_valid(page: Path, text: str, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(text, encoding="utf-8")
    assert load_job_config(tmp_path / "job.toml").heads


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[" ".join(line) for _, line in COMMANDS])
def test_every_command_line_is_understood(
    page: Path, line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = line
    assert find_spec(name) is not None
    if not arguments:
        return
    command = importlib.import_module(PARSERS.get(name, name))
    with pytest.raises(SystemExit):
        command.main(["--help"])
    # Whole names: argparse would also take the beginning of one.
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert {argument for argument in arguments if argument.startswith("--")} <= known
    if name not in PARSERS:
        return
    found = command.parse_arguments(arguments)
    if name == "jobs.annotate":
        # The demo writes its job file; the one that it writes is in the package.
        job = ROOT / str(found.job).replace("demo/", "jobs/demo/", 1)
        named = [text for _, text in JOBS if text.startswith(f"# {found.job}\n")]
        if named:
            job = tmp_path / "job.toml"
            job.write_text(named[0], encoding="utf-8")
        load_job_config(job, found.overrides)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_commands_that_need_more_than_this_machine_are_marked(page: Path) -> None:
    for text in blocks(page, "sh"):
        lines = text.splitlines()
        for before, line in zip(["", *lines], lines, strict=False):
            if "facebook/" in line or line.startswith("ray job submit"):
                assert "# needs " in line or before.startswith("# needs "), (shown(page), line)


def test_console_scripts_and_make_targets_are_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    for page in PAGES:
        code = [*code_spans(page), *(line for text in blocks(page, "sh") for line in text.splitlines())]
        for text in code:
            if match := re.match(r"make (?:[A-Z]+=\S+ )?([a-z-]+)", text):
                assert match[1] in targets, (shown(page), text)
            for extra in re.findall(r"\.\[(\w+)\]", text):
                assert extra in project["optional-dependencies"], (shown(page), text)
            if match := re.fullmatch(r"(xlmr-\w+)", text):
                assert match[1] in project["scripts"], (shown(page), text)


def anchors(page: Path) -> list[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_link_and_path_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (page.parent / link).exists(), link
    for link, anchor in re.findall(r"\]\(((?!https)[^)#]*)#([^)]+)\)", text):
        assert anchor in anchors((page.parent / link) if link else page), (link, anchor)
    for span in code_spans(page):
        if re.fullmatch(r"(?!_)[\w/.-]+(?:\.py|\.md|\.lock|\w/)", span) and not span.startswith("."):
            assert (page.parent / span).exists() or (ROOT / span).exists(), span
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert all(len(line) <= 120 for line in prose.splitlines() if not line.startswith("|"))


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with an input and its output."""
    write_input_and_output(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=shown)
@pytest.mark.usefixtures("output")
def test_python_runs(page: Path) -> None:
    for text in blocks(page, "python"):
        code = text.replace('"models/xlm-roberta-xl"', json.dumps(str(ROOT / "jobs/demo/model")))
        names: dict[str, Any] = {}
        compiled = compile(code, str(page), "exec")
        if not text.startswith(NEEDS_MORE):
            exec(compiled, names)
        tables = [value for value in names.values() if isinstance(value, pa.Table | pl.DataFrame | pd.DataFrame)]
        assert all(len(table) for table in tables), text


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sql")], ids=shown)
@pytest.mark.usefixtures("output")
def test_sql_finds_rows(page: Path) -> None:
    for text in blocks(page, "sql"):
        with duckdb.connect() as connection:
            for statement in text.split(";"):
                assert not statement.strip() or connection.execute(statement).fetchall(), statement


def test_folders_of_partitions_are_columns(tmp_path: Path) -> None:
    output = tmp_path / "annotated/year=2026"
    output.mkdir(parents=True)
    pl.DataFrame({"id": [1, 2]}).write_parquet(output / "a.5f2c9a1e.00000-of-00001.parquet")
    parts = f"{tmp_path}/annotated/**/*.parquet"
    assert duckdb.sql(f"select year from '{parts}'").fetchall() == [(2026,), (2026,)]
    assert pl.scan_parquet(parts, hive_partitioning=True).collect()["year"].to_list() == [2026, 2026]
    assert pd.read_parquet(tmp_path / "annotated")["year"].astype(int).tolist() == [2026, 2026]
    dataset = ds.dataset(tmp_path / "annotated", format="parquet", partitioning="hive")
    assert dataset.to_table()["year"].to_pylist() == [2026, 2026]


@pytest.mark.usefixtures("output")
def test_snippets_find_the_nearest_rows_and_those_below_the_threshold() -> None:
    sql = blocks(ROOT / "pipeline/OUTPUT.md", "sql")
    [nearest] = [text for text in sql if "array_cosine_similarity" in text]
    assert {row[0] for row in duckdb.sql(nearest).fetchall()} == {0, 1, 2, 4, 6}
    [thresholds] = [text for text in sql if "QUALIFY" in text]
    kept = duckdb.sql(thresholds.split(";")[1]).fetchall()
    assert sorted(row[0] for row in kept) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    [pairs] = blocks(ROOT / "jobs/configs/README.md", "sql")
    # Of each language the worst fifth by the worse direction is left out.
    assert sorted(row[0] for row in duckdb.sql(pairs).fetchall()) == [0, 2, 3, 4, 6, 7, 9, 10, 11]
    [joined] = [text for text in sql if "POSITIONAL" in text]
    assert duckdb.sql(joined).fetchall()[5] == (None, None)
    [arrays] = [text for text in blocks(ROOT / "pipeline/OUTPUT.md", "python") if "argsort" in text]
    names: dict[str, Any] = {}
    exec(arrays, names)
    assert names["nearest"].to_pylist() == [1, 2, 3, 4, 6]
    [frames] = [text for text in blocks(ROOT / "pipeline/OUTPUT.md", "python") if "import polars" in text]
    exec(frames, names)
    assert names["matrix"].shape == (NUM_ROWS - 1, NUM_DIMENSIONS)
    assert names["entities"]["id"].to_list() == [1, 3, 7, 9, 11]
    [structs] = [text for text in blocks(ROOT / "pipeline/OUTPUT.md", "python") if "json_normalize" in text]
    exec(structs, names)
    topics = names["topics"]
    assert topics["id"].tolist() == [i for i in range(NUM_ROWS) if i != BAD_ROW]
    assert topics["label"].tolist() == [topic["label"] for topic in topics["topic"]]


XL: dict[str, Any] = {}
XXL = {
    "hidden_size": 4096,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "intermediate_size": 16384,
}


def test_sizes_of_the_released_models_are_right(tmp_path: Path) -> None:
    page = ROOT / "jobs/annotate/README.md"
    sizes = rows(page, "| | XL | XXL |")
    needs = {cells[0].strip("`"): cells[1:] for cells in rows(page, "| `model.dtype` |")}
    for column, config in enumerate((XLMRobertaXLConfig(**XL), XLMRobertaXLConfig(**XXL)), start=1):
        with torch.device("meta"):
            num_parameters = sum(p.numel() for p in XLMRobertaXLForMaskedLM(config).parameters())
        directory = tmp_path / str(column)
        config.save_pretrained(directory)
        heads = [
            make_head(task, task, trunk=str(directory), config=config) for task in ("embedding", "masked-lm-loss")
        ]

        def memory(dtype: str, token_budget: int, heads: list[Any] = heads) -> tuple[float, float]:
            """GB of weights, and the free memory that a GPU needs."""
            found = rank_memory(
                heads, tensor_parallel_size=1, token_budget=token_budget, dtype=dtype, device="cuda"
            )
            needed = max(found.loading, found.weights + found.activations)
            return found.weights / 1e9, needed / 0.85 / 1e9

        assert [cells[column] for cells in sizes] == [
            f"{num_parameters:,}",
            f"{4 * num_parameters / 1e9:.1f}",
            f"{2 * num_parameters / 1e9:.1f}",
            f"{memory('float8', 512)[0]:.1f}",
        ]
        for dtype, cells in needs.items():
            stated = cells[2 * column - 2 : 2 * column]
            assert stated == [f"{memory(dtype, budget)[1]:.1f}" for budget in (512, 32768)], dtype


@pytest.mark.parametrize("package", ["model", "pipeline"])
def test_the_picture_of_the_rooms_is_that_of_the_floors(package: str) -> None:
    picture = next(text for text in blocks(ROOT / package / "README.md", "") if "/  " in text)
    names = [[line.split()[0] for line in floor.splitlines()] for floor in picture.strip().split("\n\n")]
    assert all((ROOT / package / name).exists() for floor in names for name in floor)
    assert [{name.removesuffix(".py").rstrip("/") for name in floor} for floor in names] == FLOORS[package]


def test_the_table_of_errors_has_their_kinds() -> None:
    assert [cells[0].strip("`") for cells in rows(ROOT / "pipeline/OUTPUT.md", "| kind | ")] == [*ErrorKind]


def own_options(task: str) -> dict[str, FieldInfo]:
    """The options that a task has and not every head."""
    fields = HEAD_SECTIONS[task].model_fields
    return {key: field for key, field in fields.items() if key not in ("task", *TextHeadSection.model_fields)}


def variants(task: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Options and values of `config.json` that decide the type of a task's column."""
    needed = {"labels": ["a"]} if task == "zero-shot-classification" else {}
    yield needed, {"num_labels": 2, "comet": converted_options("kiwi")}
    if task == "text-classification":
        yield {}, {"num_labels": 2, "problem_type": "multi_label_classification"}
        yield {}, {"num_labels": 1}
    if task == "token-classification":
        yield {"words": "words"}, {"num_labels": 2}
    if task == "translation-quality":
        yield {"reference": "reference"}, {"comet": converted_options("unite")}
        yield {"reference": "reference"}, {"comet": converted_options("xcomet")}


def test_the_table_of_tasks_has_their_columns_and_options() -> None:
    table = {cells[0].strip("`"): cells[1:] for cells in rows(ROOT / "README.md", "| task | column")}
    assert set(table) == set(TASKS)
    for task, (column, reads, options) in table.items():
        types = [
            TASKS[task].output_type(HEAD_SECTIONS[task](task=task, **given), XLMRobertaXLConfig(**values))
            for given, values in variants(task)
        ]
        while not all(hasattr(type_, "names") for type_ in types) and task != "embedding":
            types = [type_ if hasattr(type_, "names") else type_.value_type for type_ in types]
        expected = [] if task == "embedding" else [type_.names for type_ in types]
        assert [fields.split(", ") for fields in re.findall(r"struct<([^>]+)>", column)] == expected
        named = set(re.findall(r"`(\w+)`", f"{reads} {options}"))
        assert named - {"text"} == set(own_options(task)), task
