"""What ends a continuation, as the checkpoint says it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.pipeline_in_process import annotate_in_process
from tests.task_checkpoints import TaskCheckpoints, write_task_checkpoints
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

NUM_NEW_TOKENS = 6


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> TaskCheckpoints:
    directory = tmp_path_factory.mktemp("checkpoints")
    return write_task_checkpoints(directory, write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")))


def decoder_that_ends(checkpoints: TaskCheckpoints, directory: Path, ends: Any) -> str:
    """The decoder, with other end tokens in its `config.json`."""
    shutil.copytree(checkpoints.path("decoder"), directory)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "eos_token_id": ends}))
    return str(directory)


def continuations(
    checkpoints: TaskCheckpoints, directory: Path, ends: Any, **options: Any
) -> list[dict[str, Any]]:
    decoder = decoder_that_ends(checkpoints, directory / "decoder", ends)
    head = {"task": "text-generation", "weights": decoder, "trunk": decoder, "max_new_tokens": NUM_NEW_TOKENS}
    table = pa.table({"text": SENTENCES[:4]})
    (directory / "job").mkdir()
    output, _ = annotate_in_process(directory / "job", table, {"more": head | options}, checkpoints.encoder)
    rows = output.to_pylist()
    assert all(row["error"] is None for row in rows)
    return [row["more"] for row in rows]


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"temperature": 1.0, "seed": 4}], ids=str)
def test_one_end_token_of_several_is_that_token(
    options: dict[str, Any], checkpoints: TaskCheckpoints, tmp_path: Path
) -> None:
    for name in ("alone", "list"):
        (tmp_path / name).mkdir()
    alone = continuations(checkpoints, tmp_path / "alone", 2, **options)
    assert continuations(checkpoints, tmp_path / "list", [2], **options) == alone


def test_every_end_token_ends_a_continuation(checkpoints: TaskCheckpoints, tmp_path: Path) -> None:
    for name in ("one", "all", "none"):
        (tmp_path / name).mkdir()
    longest = max(row["num_tokens"] for row in continuations(checkpoints, tmp_path / "one", 2))
    assert longest == NUM_NEW_TOKENS
    vocabulary = list(range(2, checkpoints.tokenizer.vocab_size))
    assert [row["num_tokens"] for row in continuations(checkpoints, tmp_path / "all", vocabulary)] == [0] * 4
    assert max(row["num_tokens"] for row in continuations(checkpoints, tmp_path / "none", None)) == NUM_NEW_TOKENS
