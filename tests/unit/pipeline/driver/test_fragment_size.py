from typing import Any

import pytest

from pipeline.config.job import JobConfig
from pipeline.driver.cluster_address import LOCAL
from pipeline.driver.fragment_size import fragment_rows, replicas_on, settle_fragment_rows, with_fragment_rows
from tests.unit.pipeline.input_files import job


def asking(replicas: Any = 1, max_fragment_rows: Any = "auto") -> JobConfig:
    asked = job("in", max_fragment_rows=max_fragment_rows)
    return asked.model_copy(update={"model": asked.model.model_copy(update={"replicas": replicas})})


def never() -> int:
    pytest.fail("the cluster is looked at")


def nothing(line: str) -> None:
    pytest.fail(f"told: {line}")


@pytest.mark.parametrize(
    ("num_replicas", "rows"),
    [(1, 2048), (16, 2048), (17, 4096), (32, 4096), (64, 8192), (256, 32_768), (1000, 32_768)],
)
def test_fragments_grow_with_the_replicas(num_replicas: int, rows: int) -> None:
    assert fragment_rows(num_replicas) == rows
    told: list[str] = []
    assert settle_fragment_rows(asking(num_replicas), None, never, told.append) == rows
    assert told == [
        f"input.max_fragment_rows: {rows:,}, as of {num_replicas} replicas; it stays so for this output"
    ]


def test_a_number_is_taken_as_it_is() -> None:
    assert settle_fragment_rows(asking("auto", 10), None, never, print) is None
    assert with_fragment_rows(asking("auto", 10), None) == asking("auto", 10)


def test_replicas_are_counted_for_a_new_output_alone() -> None:
    assert settle_fragment_rows(asking("auto"), None, lambda: 40, print) == 8192
    assert settle_fragment_rows(asking("auto"), 8192, never, nothing) == 8192
    assert settle_fragment_rows(asking(3), 8192, never, nothing) == 8192


def test_the_bound_of_bytes_grows_likewise() -> None:
    before = asking(64)
    after = with_fragment_rows(before, 8192).input
    assert (after.max_fragment_rows, after.max_fragment_bytes) == (8192, 4 * before.input.max_fragment_bytes)


def test_on_one_machine_nothing_is_counted() -> None:
    assert replicas_on(asking("auto"), LOCAL) == 1
