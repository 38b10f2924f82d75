"""What the READMEs say: jobs, commands, paths, settings, columns and rooms, each checked against the code."""

import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from model import XLMRobertaXLConfig
from pipeline.config.job import JobConfig, load_job_config
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS
from pipeline.tasks.sections import DEFAULT_STRIDE, TextHeadSection
from tests.unit.test_floors import FLOORS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted(p for part in FLOORS | {"jobs": []} for p in (ROOT / part).rglob("*.md"))]
PARSERS = {
    "jobs.annotate": "jobs.annotate.command",
    "jobs.benchmark": "jobs.benchmark.command",
    "jobs.compare": "jobs.compare.command",
    "jobs.convert": "jobs.convert",
    "jobs.report": "jobs.report.annotation.command",
    "jobs.status": "jobs.status",
}
OPTIONAL = {"none", "all", "as the model"}
"""How a default of None is written."""


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
            command = re.sub(r"\$(\w+)", lambda variable: variables[variable[1]], match[1])
            yield shlex.split(command, comments=True)


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table whose first line begins with `heading`, without code marks."""
    lines = page.read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(heading)) + 2
    table = lines[begin : next(i for i in range(begin, len(lines) + 1) if lines[i : i + 1] in ([], [""]))]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table]


JOBS = [(page, text) for page in PAGES for text in blocks(page, "toml")]
COMMANDS = [(page, line) for page in PAGES for line in command_lines(page)]


def test_all_pages_are_found() -> None:
    assert {"README.md", "pipeline/README.md", "model/README.md", "jobs/compare/README.md"} <= {*map(shown, PAGES)}
    assert JOBS
    assert set(PARSERS) <= {line[0] for _, line in COMMANDS}


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


def test_console_scripts_and_make_targets_are_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    for page in PAGES:
        code = [*code_spans(page), *(line for text in blocks(page, "sh") for line in text.splitlines())]
        for text in code:
            if match := re.match(r"make (?:[A-Z]+=\S+ )?([a-z-]+)", text):
                assert match[1] in targets, (shown(page), text)
            if match := re.fullmatch(r"(xlmr-\w+)", text):
                assert match[1] in project["scripts"], (shown(page), text)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_link_and_path_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (page.parent / link).exists(), link
    for span in code_spans(page):
        if re.fullmatch(r"(?!_)[\w/.-]+(?:\.py|\.md|\.lock|\w/)", span) and not span.startswith("."):
            assert (page.parent / span).exists() or (ROOT / span).exists(), span
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert all(len(line) <= 120 for line in prose.splitlines() if not line.startswith("|"))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=shown)
def test_python_runs(page: Path) -> None:
    for text in blocks(page, "python"):
        exec(text.replace('"models/xlm-roberta-xl"', json.dumps(str(ROOT / "jobs/demo/model"))), {})


@pytest.mark.parametrize("package", ["model", "pipeline"])
def test_the_picture_of_the_rooms_is_that_of_the_floors(package: str) -> None:
    picture = next(text for text in blocks(ROOT / package / "README.md", "") if "/  " in text)
    names = [[line.split()[0] for line in floor.splitlines()] for floor in picture.strip().split("\n\n")]
    assert all((ROOT / package / name).exists() for floor in names for name in floor)
    assert [{name.removesuffix(".py").rstrip("/") for name in floor} for floor in names] == FLOORS[package]


def written(field: FieldInfo) -> set[str]:
    """How the default of a field may be written."""
    default = field.default
    if field.is_required():
        return {"required"}
    if default is None:
        return OPTIONAL
    if isinstance(default, bool):
        return {f"`{str(default).lower()}`"}
    return {f"`{default:g}`" if isinstance(default, float) else f"`{default}`"}


def test_every_setting_is_listed_with_its_default() -> None:
    listed = {key.strip("`"): default for key, default, _ in rows(ROOT / "pipeline/README.md", "| key | default")}
    sections = {name: JobConfig.model_fields[name].annotation for name in ("model", "input", "output")}
    fields: dict[str, FieldInfo] = {
        f"{name}.{key}": field
        for name, section in sections.items()
        for key, field in section.model_fields.items()  # type: ignore[union-attr]
    }
    assert {key: listed[key] for key in fields if listed[key] not in written(fields[key])} == {}
    heads = {f"heads.NAME.{key}" for key in ("task", *TextHeadSection.model_fields)}
    assert set(listed) == set(fields) | heads
    assert listed["heads.NAME.stride"] == f"`{DEFAULT_STRIDE}`"


def own_options(task: str) -> dict[str, FieldInfo]:
    """The options that a task has and not every head."""
    fields = HEAD_SECTIONS[task].model_fields
    return {key: field for key, field in fields.items() if key not in ("task", *TextHeadSection.model_fields)}


def test_every_option_of_a_task_is_listed_with_its_default() -> None:
    listed: dict[str, dict[str, str]] = {}
    for name, option, default, _ in rows(ROOT / "pipeline/README.md", "| task | option"):
        task = name.strip("`") or task  # noqa: F821  # that of the row before
        listed.setdefault(task, {})[option.strip("`")] = default
    for task in TASKS:
        own = own_options(task)
        assert set(listed.get(task, {})) == set(own), task
        assert {key: value for key, value in listed.get(task, {}).items() if value not in written(own[key])} == {}


def variants(task: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Options and values of `config.json` that decide the type of a task's column."""
    needed = {"labels": ["a"]} if task == "zero-shot-classification" else {}
    yield needed, {"num_labels": 2}
    if task == "text-classification":
        yield {}, {"num_labels": 2, "problem_type": "multi_label_classification"}
        yield {}, {"num_labels": 1}
    if task == "token-classification":
        yield {"words": "words"}, {"num_labels": 2}


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
