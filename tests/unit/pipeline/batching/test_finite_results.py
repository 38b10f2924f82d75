"""Results that are not finite: null with an error in their own row and head, in every task; all else as it was."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from pipeline.batching.finite_results import NOT_FINITE, not_finite_sequences
from pipeline.batching.result_collector import HeadOutputCollector
from pipeline.columns import ERROR
from pipeline.tasks.requests import Places
from pipeline.tasks.vector_columns import NOT_FINITE_IN_FLOAT16
from tests.not_finite_rows import (
    FIRST_OVERFLOW,
    GENERATION_HEADS,
    GROWING_ROW,
    LONG,
    LONG_ROW,
    NUM_ROWS,
    heads_of,
    one_head_a_kind,
    overflowing_copy,
    table_of,
)
from tests.pipeline_in_process import annotate_in_process
from tests.task_checkpoints import TaskCheckpoints, write_task_checkpoints
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import make_head

pytestmark = pytest.mark.usefixtures("single_thread")

NAN, INF = float("nan"), float("inf")
FLOAT32_MAX = float(np.finfo(np.float32).max)
needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="no AVX-512 VNNI")


@pytest.fixture(scope="module")
def single_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def problems(values: list[Any], task: str = "text-classification", **options: Any) -> dict[int, str]:
    """Of results of a head, one for each sequence from 10 on."""
    array: NDArray[Any] = np.array(values)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    collected = HeadOutputCollector()
    places = np.arange(10, 10 + len(array))
    collected.add((np.zeros(len(array), dtype=np.int64), array), Places(places, places))
    return not_finite_sequences(make_head("head", task, **options), collected)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_one_number_of_many_is_enough(bad: float) -> None:
    assert problems([[1.0, 2.0], [bad, 1.0], [3.0, bad], [0.0, -FLOAT32_MAX]]) == dict.fromkeys(
        (11, 12), NOT_FINITE
    )
    assert problems([1.0, bad, 2.0], "masked-lm-loss") == {11: NOT_FINITE}


def test_what_is_said_to_be_finite_or_not() -> None:
    assert problems([True, False, True], "text-generation") == {11: NOT_FINITE}


def test_the_score_of_an_answer_is_a_sum_of_two() -> None:
    large = 0.6 * FLOAT32_MAX
    assert problems([[1.0, -1.0], [large, large]], "question-answering") == {11: NOT_FINITE}
    assert problems([[large, large]]) == {}


def test_vectors_that_float16_does_not_hold() -> None:
    def found(**options: Any) -> dict[int, str]:
        """Of vectors that end just below and at the first number that is infinite in float16, or are NaN."""
        values = np.array([[1.0, 65519.0], [-65520.0, 1.0], [NAN, 7e4]], dtype=np.float32)
        collected = HeadOutputCollector()
        collected.add((values,), Places(np.arange(3), np.zeros(3, dtype=np.int64)))
        return not_finite_sequences(make_head("vector", "embedding", **options), collected)

    assert found(dtype="float16", normalize=False) == {1: NOT_FINITE_IN_FLOAT16, 2: NOT_FINITE}
    for options in ({"normalize": False}, {"dtype": "float16"}):
        assert found(**options) == {2: NOT_FINITE}
    assert found(dtype="float16", normalize=False, dimensions=1) == {1: NOT_FINITE_IN_FLOAT16, 2: NOT_FINITE}


def test_of_several_layers_each_must_be_finite() -> None:
    collected = HeadOutputCollector()
    values = [np.array(numbers, dtype=np.float32)[:, None] for numbers in ([1, 1, 7e4], [NAN, 1, 1])]
    collected.add(tuple(values), Places(np.arange(3), np.zeros(3, dtype=np.int64)))
    head = make_head("vector", "embedding", layers=[0, 1], dtype="float16", normalize=False)
    assert not_finite_sequences(head, collected) == {0: NOT_FINITE, 2: NOT_FINITE_IN_FLOAT16}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> TaskCheckpoints:
    directory = tmp_path_factory.mktemp("checkpoints")
    return write_task_checkpoints(directory, write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def overflowing(checkpoints: TaskCheckpoints, tmp_path_factory: pytest.TempPathFactory) -> TaskCheckpoints:
    return overflowing_copy(checkpoints, tmp_path_factory.mktemp("overflowing") / "checkpoints")


def annotate(directory: Path, table: pa.Table, heads: dict[str, Any], model: Path, dtype: str) -> pa.Table:
    directory.mkdir()
    return annotate_in_process(directory, table, heads, model, dtype=dtype)[0]


def test_every_task_has_null_and_an_error_for_the_row_that_overflows(
    checkpoints: TaskCheckpoints, overflowing: TaskCheckpoints, tmp_path: Path
) -> None:
    require_losses(heads_of, checkpoints, overflowing, tmp_path, "float32")


@pytest.mark.parametrize("dtype", ["bfloat16", "float8", pytest.param("int8", marks=needs_vnni)])
def test_every_dtype_keeps_rows_apart(
    dtype: str, checkpoints: TaskCheckpoints, overflowing: TaskCheckpoints, tmp_path: Path
) -> None:
    def heads(of: TaskCheckpoints) -> dict[str, Any]:
        return {n: h for n, h in one_head_a_kind(heads_of(of)).items() if n not in GENERATION_HEADS}

    require_losses(heads, checkpoints, overflowing, tmp_path, dtype)


def require_losses(
    make_heads: Callable[[TaskCheckpoints], dict[str, Any]],
    checkpoints: TaskCheckpoints,
    overflowing: TaskCheckpoints,
    tmp_path: Path,
    dtype: str,
) -> None:
    """Rows that overflow have nulls and errors, and all others are the same to the last bit as without them."""
    table = table_of(checkpoints.tokenizer)
    heads = make_heads(overflowing)
    found = annotate(tmp_path / "a", table, heads, overflowing.encoder, dtype)
    whole = annotate(tmp_path / "b", table, make_heads(checkpoints), checkpoints.encoder, dtype)
    expected = {LONG_ROW: list(heads), GROWING_ROW: [name for name in heads if name in GENERATION_HEADS]}
    assert whole[ERROR].null_count == NUM_ROWS
    for row in range(NUM_ROWS):
        bad = expected.get(row, [])
        assert found[ERROR][row].as_py() == (f"{', '.join(bad)}: {NOT_FINITE}" if bad else None)
        for name in heads:
            value, other = found[name][row], whole[name][row]
            assert other.is_valid
            # The text of numbers tells zeros with a sign apart, too.
            assert str(value.as_py()) == (str(None) if name in bad else str(other.as_py())), (name, row)


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("roberta.encoder.layer.0.intermediate.dense.weight", 3e4),
        ("roberta.encoder.layer.1.attention.self.query.bias", 6e4),
        ("roberta.encoder.LayerNorm.weight", 6e4),
    ],
)
def test_float16_that_overflows_in_the_trunk(
    tensor: str, value: float, checkpoints: TaskCheckpoints, tmp_path: Path
) -> None:
    """In the layers, in the scores of attention, or in the very last states: finite weights, and no result."""
    model = tmp_path / "model"
    shutil.copytree(checkpoints.encoder, model)
    tensors = load_file(model / "model.safetensors")
    tensors[tensor] = tensors[tensor].sign() * value
    if "attention" in tensor:  # to float16's end and beyond
        tensors[tensor.replace("bias", "weight")] *= 1e5
    save_file(tensors, model / "model.safetensors")
    heads = {
        "topic": {"task": "text-classification", "weights": checkpoints.path("topic")},
        "int8": {"task": "embedding", "dtype": "int8"},
        "bits": {"task": "embedding", "dtype": "ubinary", "pooling": "cls"},
        "pooler": {"task": "embedding", "pooling": "pooler", "weights": checkpoints.path("choice")},
    }
    found = annotate(tmp_path / "run", pa.table({"text": ["Nobody knew."]}), heads, model, "float16")
    assert found[ERROR].to_pylist() == [f"topic, int8, bits, pooler: {NOT_FINITE}"]
    assert found.select(list(heads)).to_pylist() == [dict.fromkeys(heads)]


def test_one_window_that_is_not_finite_leaves_nothing_of_a_document(
    checkpoints: TaskCheckpoints, overflowing: TaskCheckpoints, tmp_path: Path
) -> None:
    """Where its windows are short, the same text has the value that it always has."""
    near, far = {"window": FIRST_OVERFLOW, "stride": 8}, {"window": FIRST_OVERFLOW + 1, "stride": 8}
    heads: dict[str, Any] = {}
    for pooling in ("mean", "max"):
        heads |= {
            f"{pooling} {name}": {"task": "embedding", "pooling": pooling} | w
            for name, w in (("near", near), ("far", far))
        }
    heads["loss"] = {"task": "masked-lm-loss", **far}
    heads["tokens"] = {"task": "embedding", "level": "token", **far}
    heads["entities"] = {"task": "token-classification", "weights": overflowing.path("entities"), **far}
    table = pa.table({"text": [LONG, SENTENCES[0]]})
    found = annotate(tmp_path / "a", table, heads, overflowing.encoder, "float32")
    assert found["num_windows"][0].as_py() > 1
    bad = [name for name in heads if "near" not in name]
    assert found[ERROR].to_pylist() == [f"{', '.join(bad)}: {NOT_FINITE}", None]
    for name in heads:
        assert found[name].is_valid().to_pylist() == [name not in bad, True], name
    good = {name: head for name, head in heads.items() if name not in bad}
    whole = annotate(tmp_path / "b", table, good, checkpoints.encoder, "float32")
    assert found.select(list(good)).equals(whole.select(list(good)))


@pytest.mark.parametrize("value", [65519.0, 65520.0])
def test_a_vector_beyond_float16(value: float, checkpoints: TaskCheckpoints, tmp_path: Path) -> None:
    """The last LayerNorm's bias decides; in length 1, and in float32, the vector is there."""
    model = tmp_path / "model"
    shutil.copytree(checkpoints.encoder, model)
    tensors = load_file(model / "model.safetensors")
    tensors["roberta.encoder.LayerNorm.weight"].zero_()
    tensors["roberta.encoder.LayerNorm.bias"].fill_(value)
    save_file(tensors, model / "model.safetensors")
    vector = {"task": "embedding", "normalize": False}
    heads = {
        "half": vector | {"dtype": "float16"},
        "long": vector,
        "unit": {"task": "embedding", "dtype": "float16"},
    }
    found = annotate(tmp_path / "run", pa.table({"text": [SENTENCES[0]]}), heads, model, "float32")
    is_beyond = value > 65519
    assert found[ERROR].to_pylist() == [f"half: {NOT_FINITE_IN_FLOAT16}" if is_beyond else None]
    assert found["half"].to_pylist() == [None if is_beyond else [65504.0] * 32]
    assert found["long"].to_pylist() == [[value] * 32]
    assert found["unit"][0].as_py() == pytest.approx([32**-0.5] * 32, abs=1e-3)
