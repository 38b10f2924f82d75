"""The report's page: every kind is rendered, texts are escaped, and the worst errors come first."""

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.evaluate.evaluation_page import evaluation_page
from jobs.evaluate.examples import BenchmarkTask
from jobs.report.page import Bars, Binned, Block, Examples, Matrix, Page, Reliability, Table
from jobs.report.render import render_page
from tests.unit.jobs.evaluate.finished import (
    answers,
    choices,
    classes,
    examples_of,
    label_sets,
    own_task_of,
    qualities,
    scored_folder,
    task_of,
    values,
    words,
    write_evaluation,
)

SCRIPT, ARABIC = "<script>alert('&')</script>", "كان النهر عاليا"
CLASSES = own_task_of("classification", "accuracy", "macro_f1", "micro_f1")
VALUES = own_task_of("regression", "mae", "pearson", "spearman")
LABEL_SETS = own_task_of("multi-label", "micro_f1", "macro_f1", "average_precision")
QUALITIES = own_task_of("translation-quality", "pearson", "spearman", "kendall")
LABELS = {name: name for name in ("no", "yes")}

KINDS: list[tuple[str, BenchmarkTask, dict[str, Any], list[Any]]] = [
    ("text-classification", CLASSES, {"text": [SCRIPT, ARABIC], "gold": ["yes", "no"]}, classes(["no", None])),
    ("text-classification", LABEL_SETS, {"text": [SCRIPT, ARABIC], "gold": [["no"], []]},
     label_sets([[0.1, 0.9], None])),
    ("text-classification", VALUES, {"text": [SCRIPT, ARABIC], "gold": [1.0, 2.0]}, values([3.0, None])),
    ("xcopa", task_of("xcopa"), {"prompt": [SCRIPT, ARABIC], "choices": [["a b", "c"], ["d", "e"]],
                                 "gold": [0, 1]}, choices([1, None])),
    ("squad_v2", task_of("squad_v2"), {"question": [SCRIPT, ARABIC], "context": ["c", "d"], "gold": [["x"], []]},
     answers(["y", None])),
    ("udpos", task_of("udpos"), {"words": [[SCRIPT], [ARABIC, "z"]], "gold": [["NOUN"], ["X", "X"]]},
     words([["VERB"], None])),
    ("mt-quality", QUALITIES, {"source": [SCRIPT, ARABIC], "translation": ["c", "d"], "gold": [1.0, 2.0]},
     qualities([0.3, None])),
]  # fmt: skip


def page_of(path: Path, benchmark: str, task: BenchmarkTask, columns: dict[str, Any], found: list[Any]) -> Page:
    subset = {"et": (examples_of(task, columns), found)}
    write_evaluation(path, benchmark, task, subset, labels=None if task.labels else LABELS)
    return evaluation_page(*scored_folder(path))


def blocks_of(page: Page) -> list[Block]:
    return [block for section in page.sections for block in section.blocks]


def block_of(page: Page, kind: type[Any]) -> Any:
    return next(block for block in blocks_of(page) if isinstance(block, kind))


def numbers_in(data: Any) -> Iterator[float]:
    if isinstance(data, float):
        yield data
    elif is_dataclass(data):
        for field in fields(data):
            yield from numbers_in(getattr(data, field.name))
    elif isinstance(data, dict):
        yield from numbers_in(list(data.values()))
    elif isinstance(data, list | tuple):
        for each in data:
            yield from numbers_in(each)


@pytest.mark.parametrize(("benchmark", "task", "columns", "found"), KINDS, ids=[kind[1].kind for kind in KINDS])
def test_every_kind_is_rendered(
    tmp_path: Path, benchmark: str, task: BenchmarkTask, columns: dict[str, Any], found: list[Any]
) -> None:
    page = page_of(tmp_path, benchmark, task, columns, found)
    assert all(math.isfinite(number) for number in numbers_in(page))
    errors = block_of(page, Examples)
    assert [row[1] for row in errors.rows] == (
        [1, 0] if task.kind in ("regression", "translation-quality") else [0, 1]
    )
    assert errors.num_total == 2
    # Only columns that there is something in.
    names = [column.name for column in errors.columns]
    assert "text_pair" not in names
    assert ("score" in names) == (task.kind in ("classification", "multi-label", "multiple-choice",
                                                "question-answering"))  # fmt: skip
    bars = [block for block in blocks_of(page) if isinstance(block, Bars)]
    assert len(bars) == len(scored_folder(tmp_path)[1][task.name].subsets["et"].measured)
    kinds = {type(block) for block in blocks_of(page)}
    assert ({Matrix, Reliability} <= kinds) == (task.kind == "classification")
    assert {Table, Binned} <= kinds


def test_texts_are_escaped(tmp_path: Path) -> None:
    html = render_page(page_of(tmp_path, *KINDS[0]))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(" in html
    assert ARABIC in html
    assert "NaN" not in html


def test_the_worst_errors_come_first(tmp_path: Path) -> None:
    """Wrong rows by their confidence, failed ones last; right ones are not there."""
    columns = {"text": list("abcde"), "gold": ["yes"] * 5}
    found = [*classes(["no"], 0.6), *classes(["yes"], 0.9), *classes(["no"], 0.8), None, *classes(["no"], 0.7)]
    errors = block_of(page_of(tmp_path, "text-classification", CLASSES, columns, found), Examples)
    assert [row[1] for row in errors.rows] == [2, 4, 0, 3]
    assert [row[3] for row in errors.rows] == ["no", "no", "no", None]
    assert errors.num_total == 4
    assert errors.filters == ["subset", "gold", "predicted"]


def test_partly_right_rows_come_after_wrong_ones(tmp_path: Path) -> None:
    task = task_of("udpos")
    columns = {"words": [["a", "b"]] * 3, "gold": [["NOUN", "VERB"]] * 3}
    found = words([["NOUN", "NOUN"], ["VERB", "NOUN"], ["NOUN", "VERB"]])
    errors = block_of(page_of(tmp_path, "udpos", task, columns, found), Examples)
    assert [row[1] for row in errors.rows] == [1, 0]


def test_values_by_their_absolute_error_with_enough_digits(tmp_path: Path) -> None:
    columns = {"text": list("abc"), "gold": [0.0, 0.0, 0.0]}
    page = page_of(tmp_path, "text-classification", VALUES, columns, values([0.01, -0.04, 0.02]))
    assert [row[1] for row in block_of(page, Examples).rows] == [1, 2, 0]
    assert block_of(page, Bars).decimals == 3
    figures = next(block for block in blocks_of(page) if isinstance(block, Table) and block.title == "Figures")
    column = [column.name for column in figures.columns].index("MAE")
    assert figures.columns[column].decimals == 3
    assert figures.rows[0][column] == pytest.approx(0.07 / 3)
    assert figures.rows[0][column + 1] != "0.0"
    [first, *_] = block_of(page, Binned).bins
    assert (first.count, first.value) == (3, pytest.approx(0.07 / 3))


def test_rows_of_unknown_length_are_in_no_bin(tmp_path: Path) -> None:
    columns = {"text": list("abc"), "gold": ["yes"] * 3}
    subset = {"et": (examples_of(CLASSES, columns), classes(["yes"] * 3))}
    write_evaluation(tmp_path, "text-classification", CLASSES, subset, labels=LABELS, rows_lost=1)
    page = evaluation_page(*scored_folder(tmp_path))
    assert sum(each.count for each in block_of(page, Binned).bins) == 2


def test_correlations_below_zero_have_an_axis_that_shows_them(tmp_path: Path) -> None:
    columns = {"text": list("abc"), "gold": [1.0, 2.0, 3.0]}
    page = page_of(tmp_path, "text-classification", VALUES, columns, values([3.0, 2.0, 1.0]))
    bars = {block.title: block for block in blocks_of(page) if isinstance(block, Bars)}
    assert bars["Pearson"].domain is None
    assert bars["Pearson"].bars[0].value == pytest.approx(-100)


def test_published_figures_are_marks_at_subsets_and_means(tmp_path: Path) -> None:
    task = task_of("xnli")
    columns = {"text": ["a"], "text_pair": ["b"], "gold": ["neutral"]}
    subsets = {name: (examples_of(task, columns), classes(["neutral"])) for name in task.subsets}
    write_evaluation(tmp_path, "xnli", task, subsets)
    bars = block_of(evaluation_page(*scored_folder(tmp_path)), Bars)
    assert [bar.is_summary for bar in bars.bars] == [False] * 15 + [True]
    marks = {reference.name: reference.values for reference in bars.references}
    assert marks["XLM-R XL"]["de"] == 87.0
    assert marks["XLM-R XL"]["mean of 15"] == 85.4
    assert bars.category == "subset"
