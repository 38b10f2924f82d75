"""What the tests of all tasks share: checkpoints, the table, and its output by tensor parallel size."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import XLMRobertaTokenizer

from model import ShardGroup
from tests.distributed.processes import run_on_ranks
from tests.parity.tasks.job import annotate, heads_of_every_task
from tests.parity.tasks.reference import Reference
from tests.parity.tasks.rows import real_rows
from tests.shared_data import shared_data
from tests.task_checkpoints import TaskCheckpoints, write_task_checkpoints
from tests.tokenizer_oracle import released_fast

Outputs = dict[int, list[dict[str, Any]]]


@pytest.fixture(scope="package", autouse=True)
def single_thread() -> Iterator[None]:
    """Of the fixtures too; the models are so small that more threads would be slower."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="package")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> TaskCheckpoints:
    vocab_file = shared_data("xlm-roberta-tokenizer", "sentencepiece.bpe.model")
    return write_task_checkpoints(tmp_path_factory.mktemp("checkpoints"), vocab_file)


@pytest.fixture(scope="package")
def reference(checkpoints: TaskCheckpoints) -> Reference:
    slow = XLMRobertaTokenizer(str(checkpoints.vocab_file))
    return Reference(checkpoints, slow, released_fast(checkpoints.vocab_file))


@pytest.fixture(scope="package")
def table() -> pa.Table:
    return real_rows()


@pytest.fixture(scope="package")
def rows(table: pa.Table) -> list[dict[str, Any]]:
    as_rows: list[dict[str, Any]] = table.to_pylist()
    return as_rows


@pytest.fixture(scope="package")
def outputs(checkpoints: TaskCheckpoints, table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Rows of the output by tensor parallel size."""
    directory = tmp_path_factory.mktemp("job")
    arguments = (directory, table, heads_of_every_task(checkpoints), checkpoints.encoder)
    alone = annotate(ShardGroup(), *arguments)
    both, _ = run_on_ranks(2, annotate, *arguments, timeout_s=240)
    return {1: alone, 2: both}
