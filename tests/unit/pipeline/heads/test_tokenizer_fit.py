"""The tokenizer of a job against embeddings and the tokenizers of its heads."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.heads.resolve import resolve_heads
from pipeline.heads.tokenizer_fit import check_tokenizer, is_filled_up
from tests.tiny_tokenizer import VOCAB_FILE_NAME, write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import TINY_VOCAB_SIZE, job_of, tiny_checkpoint

VECTOR: dict[str, Any] = {"task": "embedding"}
TOPIC: dict[str, Any] = {"task": "text-classification"}


def check(model: Path, head: dict[str, Any]) -> list[str]:
    job = job_of(model, {"one": head})
    heads = resolve_heads(job)
    field = "heads.one.trunk" if "trunk" in head else "model.path"
    return check_tokenizer(job, heads, {heads[0].trunk: field})


@pytest.mark.parametrize(
    ("num_pieces", "num_rows", "expected"),
    [
        (250_002, 250_880, True),  # XL and XXL: 245 * 1,024
        (250_002, 250_002, True),
        (250_002, 250_112, True),  # 128
        (250_002, 250_004, True),
        (250_002, 250_003, False),
        (250_002, 251_904, False),  # 1,024 too many
        (250_002, 262_144, False),  # a multiple of 1,024, but not the next
        (602, 608, True),
        (602, 700, False),
        (602, 1024, True),
        (602, 2048, False),
        (5_002, 250_880, False),
    ],
)
def test_rows_that_fill_up_the_vocabulary(num_pieces: int, num_rows: int, expected: bool) -> None:
    assert is_filled_up(num_pieces, num_rows) is expected


def test_a_tokenizer_that_knows_few_of_the_tokens_is_a_warning(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    large = tiny_checkpoint(tmp_path / "large", vocab_size=5000)
    assert check(model, VECTOR) == []
    [warning] = check(large, VECTOR)
    assert warning.startswith(
        f"model.path: {large} has embeddings for 5,000 tokens, the tokenizer of model.path has only 602; "
    )
    [warning] = check(model, {**VECTOR, "trunk": str(large)})
    assert warning.startswith(f"heads.one.trunk: {large} has embeddings for 5,000 tokens")


def test_more_pieces_than_rows_are_refused(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path, vocab_size=TINY_VOCAB_SIZE - 1)
    with pytest.raises(
        ConfigError, match=r"^model\.path: .* for 601 tokens, the tokenizer of model\.path has 602"
    ):
        check(model, VECTOR)


@pytest.mark.parametrize("key", ["weights", "trunk"])
def test_a_head_with_another_tokenizer_is_refused(key: str, tmp_path: Path) -> None:
    model, head = tiny_checkpoint(tmp_path / "model"), tiny_checkpoint(tmp_path / "head")
    options = {**TOPIC, key: str(head)}
    assert check(model, options) == []
    write_tiny_sentencepiece(head, vocab_size=580)
    with pytest.raises(ConfigError) as caught:
        check(model, options)
    assert str(caught.value).startswith(f"heads.one.{key}: {head} comes with a tokenizer of 582 pieces, expected")


def test_other_bytes_of_the_same_pieces_are_the_same_tokenizer(tmp_path: Path) -> None:
    model, head = tiny_checkpoint(tmp_path / "model"), tiny_checkpoint(tmp_path / "head")
    # Protocol buffers: an unknown field (99, of length 3) is passed over by those who read the rest.
    with (head / VOCAB_FILE_NAME).open("ab") as file:
        file.write(b"\x9a\x06\x03abc")
    assert check(model, {**TOPIC, "weights": str(head)}) == []


@pytest.mark.parametrize("content", [None, b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_head_needs_no_tokenizer(content: bytes | None, tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "model")
    head = shutil.copytree(model, tmp_path / "head")
    (head / VOCAB_FILE_NAME).unlink()
    if content is not None:
        (head / VOCAB_FILE_NAME).write_bytes(content)
    assert check(model, {**TOPIC, "weights": str(head)}) == []
