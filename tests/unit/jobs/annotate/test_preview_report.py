import io
from typing import Any

import pyarrow as pa
import pytest
from rich.cells import cell_len
from rich.console import Console

from jobs.annotate.preview_report import print_counts, print_rows, print_whole_job
from pipeline.driver.token_estimate import PassEstimate, TokenEstimate
from pipeline.heads.resolve import Head
from pipeline.monitoring.progress_counter import Counts
from tests.unit.pipeline.compute_fixtures import make_head

TASKS = {"topic": "text-classification", "vector": "embedding", "loss": "masked-lm-loss"}
HEADS = [make_head(name, task) for name, task in TASKS.items()]
TEXTS = ["Der Hund [bold]bellt[/] laut und die Katze schläft.", "日本語の長い文章。" * 6, "a\x1b[31mb\x07c", None]
ERROR = "column 'text' is null, expected text"


def rows(heads: list[Head] = HEADS, num_rows: int = 4) -> pa.Table:
    """The last row has an error, the others a value of each head."""
    values: dict[str, Any] = {
        "topic": {"label": "politics", "score": 0.75, "logits": [1.0, 2.0, 3.0]},
        "vector": [0.5] * 32,
        "loss": {"loss": 2.5, "nll": 5.0, "num_tokens": 2},
    }
    columns = {
        head.name: pa.array([values[head.name]] * (num_rows - 1) + [None], head.output_type) for head in heads
    }
    return pa.table({"error": pa.array([None] * (num_rows - 1) + [ERROR]), **columns})


def printed(width: int, function: Any, *arguments: Any) -> list[str]:
    file = io.StringIO()
    function(Console(file=file, width=width, highlight=False, markup=False, emoji=False), *arguments)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120, 400])
def test_rows_are_a_table_that_fits(width: int) -> None:
    lines = printed(width, print_rows, rows(), HEADS, TEXTS)
    assert len(lines) == 5
    assert all(cell_len(line) <= width for line in lines)
    assert lines[0].split() == ["row", "text", "topic", "vector", "loss", "error"]
    assert lines[1].startswith("1 ")
    assert "[bold]" in lines[1]
    assert "politics 0.75" in lines[1] or width == 80
    assert "2.5" in lines[1]
    assert "column" in lines[4]
    assert r"a\x1b[31mb" in lines[3]
    assert not set("\x1b\x07") & set("".join(lines))


def test_a_narrow_terminal_gets_a_block_for_each_row() -> None:
    lines = printed(40, print_rows, rows(), HEADS, TEXTS)
    assert all(cell_len(line) <= 40 for line in lines)
    assert lines[:7] == [
        "row    1",
        "text   Der Hund [bold]bellt[/] laut und…",
        "topic  politics 0.75",
        "vector 32 numbers: 0.5, 0.5, 0.5, …",
        "loss   2.5",
        "error  –",
        "",
    ]
    assert len(lines) == 4 * 7


def test_little_is_a_table_in_any_terminal() -> None:
    lines = printed(40, print_rows, rows([HEADS[2]]).slice(0, 2), [HEADS[2]], TEXTS)
    assert lines[0].split() == ["row", "text", "loss"]
    assert all(cell_len(line) <= 40 for line in lines)


def test_ten_rows_are_shown_and_texts_may_not_be_known() -> None:
    lines = printed(80, print_rows, rows(num_rows=50), HEADS, None)
    assert lines[0].split() == ["row", "topic", "vector", "loss"]
    assert len(lines) == 11


def test_errors_are_counted_by_kind() -> None:
    """However many texts they have: these name columns and places of lists."""
    kinds = ["is null, expected text", "is empty, expected text", "is blank, expected text"]
    errors = [f"column 'text' {kinds[i % 3]}" for i in range(5)] + ["column 'text' is not UTF-8"] * 7 + [None]
    table = pa.table({"error": errors})
    assert printed(80, print_counts, table, []) == ["errors: 12 of 13 rows", "  7  not_utf8", "  5  no_text"]


def test_errors_and_labels_are_counted() -> None:
    assert printed(80, print_counts, rows(num_rows=5), HEADS) == [
        "errors: 1 of 5 rows",
        "  1  no_text",
        "labels of topic: politics 4",
    ]
    assert printed(80, print_counts, rows([HEADS[0]], num_rows=5).slice(4), [HEADS[0]]) == [
        "errors: 1 of 1 row",
        "  1  no_text",
        "labels of topic: none",
    ]


ESTIMATE = TokenEstimate((PassEstimate(("topic",), 1.0, 36.0),), 1000, is_exact=False)


def test_the_whole_job_takes_its_tokens_at_the_measured_rate() -> None:
    counts = Counts(num_tokens=5000, annotating_s=0.5)
    assert printed(400, print_whole_job, counts, 10_000_000, ESTIMATE, 20.0) == [
        "the whole job: 10,000,000 rows, about 360,000,000 tokens, about 10 h 0 min at 10,000 tokens/s, which "
        "costs about 200.00 at 20 per hour (measured on 5,000 tokens, without the start)"
    ]
    assert "costs" not in printed(400, print_whole_job, counts, 10_000_000, ESTIMATE, None)[0]


@pytest.mark.parametrize(
    ("counts", "estimate"), [(Counts(), ESTIMATE), (Counts(num_tokens=9, annotating_s=1), None)]
)
def test_nothing_is_said_of_what_was_not_measured(counts: Counts, estimate: TokenEstimate | None) -> None:
    assert printed(400, print_whole_job, counts, 7, estimate, 20.0) == [
        "the whole job: 7 rows; how long it takes was not measured"
    ]
