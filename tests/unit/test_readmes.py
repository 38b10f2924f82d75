"""What the READMEs say: jobs, commands, paths, columns and rooms, each checked against the code."""

import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic.fields import FieldInfo

from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.benchmarks.mt_quality import MT_QUALITY
from jobs.evaluate.run import OWN_TASKS
from jobs.evaluate.settings import load_settings
from jobs.fit.settings import load_settings as load_fit_settings
from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM
from pipeline.config.job import load_job_config
from pipeline.replica.memory import rank_memory
from pipeline.row_errors import ErrorKind
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS
from pipeline.tasks.sections import TextHeadSection
from tests.comet_checkpoints import converted_options
from tests.unit.pages import PAGES, ROOT, blocks, shown
from tests.unit.pipeline.compute_fixtures import make_head
from tests.unit.test_floors import FLOORS

PARSERS = {
    "jobs.annotate": "jobs.annotate.command",
    "jobs.benchmark": "jobs.benchmark.command",
    "jobs.compare": "jobs.compare.command",
    "jobs.convert": "jobs.convert.command",
    "jobs.evaluate": "jobs.evaluate.command",
    "jobs.fit": "jobs.fit.command",
    "jobs.reference": "jobs.reference",
    "jobs.report": "jobs.report.annotation.command",
    "jobs.status": "jobs.status",
}


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
FIT_FILE = "# fit.toml\n"
"""How settings of jobs.fit begin."""
TABLES = [(page, text) for page in PAGES for text in blocks(page, "toml") if page != EVALUATION]
JOBS = [(page, text) for page, text in TABLES if not text.startswith(FIT_FILE)]
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


def test_every_fit_is_valid(tmp_path: Path) -> None:
    texts = [text for _, text in TABLES if text.startswith(FIT_FILE)]
    assert texts
    for text in texts:
        (tmp_path / "fit.toml").write_text(text, encoding="utf-8")
        assert load_fit_settings(tmp_path / "fit.toml").heads


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
        if (ROOT / "jobs/configs" / found.job).exists():
            # A copy of that example.
            job = ROOT / "jobs/configs" / found.job
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
