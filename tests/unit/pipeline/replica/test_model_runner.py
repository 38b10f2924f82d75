"""A shard in this process, without Ray, against a plain loop over our models and those of Transformers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model import (
    CheckpointError,
    ShardGroup,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from model.inference.float8_linear import Float8Linear
from model.inference.int8_linear import Int8Linear
from model.kernels.amx.kernels import AmxInt8Linear
from pipeline.arrays.windows import WindowArrays
from pipeline.batching.masking import Vocabulary, sample_masks
from pipeline.batching.rank_batch import RankBatch, make_batch
from pipeline.batching.row_random import row_hashes
from pipeline.batching.sequences import gather_sequences
from pipeline.batching.token_budget_batches import plan_batches
from pipeline.batching.trunk_passes import trunk_passes
from pipeline.heads.resolve import Head, read_config
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank_settings import RankSettings
from tests.oracle import oracle_of
from tests.unit.pipeline.compute_fixtures import (
    TINY_VOCAB_SIZE,
    make_head,
    tiny_checkpoint,
    window_column,
    window_of,
)

VOCABULARY = Vocabulary(mask_id=TINY_VOCAB_SIZE - 1)
needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="no AVX-512 VNNI")
FP32 = RankSettings("cpu", "float32", num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE)
TOLERANCE = 1e-4
LENGTHS = [3, 40, 7, 512, 7, 21, 2, 90]


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def other_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another trunk and other heads, with a projection of its own and a regression head."""
    return tiny_checkpoint(
        tmp_path_factory.mktemp("other"), seed=5, tie_word_embeddings=False, num_labels=1, num_hidden_layers=1
    )


def rows_of_tokens(lengths: list[int], seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [[0, *rng.integers(4, TINY_VOCAB_SIZE, n - 2).tolist(), 2] for n in lengths]


def head_of(directory: Path, name: str, task: str, *, trunk: Path | None = None, **options: Any) -> Head:
    config = read_config(str(directory), "weights")
    options = {"weights": str(directory)} | options
    return make_head(name, task, trunk=str(trunk or directory), config=config, **options)


ByRow = dict[int, NDArray[np.float32]]


def run(
    heads: list[Head], rows: list[list[int]], *, settings: RankSettings = FP32, token_budget: int = 128
) -> dict[str, ByRow]:
    """By head and row, what came out: batches of a fragment through a shard, as a leader sends them."""
    passes = trunk_passes(heads)
    wanted = np.ones((len(rows), len(heads)), dtype=bool)
    hashes = row_hashes("a.parquet", 0, len(rows))
    windows = WindowArrays.from_column(window_column([[window_of(ids)] for ids in rows]))
    sequences = gather_sequences([windows], passes, wanted, hashes, VOCABULARY)
    shard = ModelRunner(heads, settings, ShardGroup())
    found: dict[str, list[tuple[int, NDArray[np.float32]]]] = {head.name: [] for head in heads}
    trunks = np.array([passes[i].trunk for i in sequences.trunk_pass])
    for trunk in np.unique(trunks):
        here = np.flatnonzero(trunks == trunk)
        for batch in plan_batches(sequences.length[here], token_budget):
            made, places = make_batch(sequences, here[batch], passes, heads, wanted, VOCABULARY.mask_id)
            for name, (values,) in shard.launch(made).results().items():
                assert values.dtype == np.float32
                row = windows.row[sequences.window[places[name].sequence]]
                # Losses of masked tokens in turn come a sequence at a time; those of a row are put in order.
                order = np.lexsort((places[name].position, places[name].sequence, row))
                found[name] += zip(row[order].tolist(), np.asarray(values[order]), strict=True)
    return {name: _by_row(results) for name, results in found.items()}


def _by_row(results: list[tuple[int, NDArray[np.float32]]]) -> ByRow:
    rows = dict.fromkeys(row for row, _ in results)
    return {row: np.array([value for r, value in results if r == row]) for row in rows}


def ours_and_theirs(cls: Any, directory: Path) -> list[Any]:
    """A model of ours from the checkpoint, and Transformers' with the same weights."""
    ours = cls.from_pretrained(directory)
    assert not ours.load_report.new
    return [ours, oracle_of(ours)]


@torch.inference_mode()
def nll_of(model: Any, ids: list[int], labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Negative log likelihood of each labelled token of one row."""
    logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    positions = np.flatnonzero(labels != -100)
    nll: NDArray[np.float32] = -logits[positions, labels[positions].astype(np.int64)].numpy()
    return nll


def test_logits_are_those_of_one_row_at_a_time(directory: Path, other_directory: Path) -> None:
    rows = rows_of_tokens(LENGTHS)
    heads = [
        head_of(directory, "topic", "text-classification"),
        head_of(other_directory, "quality", "text-classification"),
    ]
    found = run(heads, rows)
    for head in heads:
        by_row = found[head.name]
        assert sorted(by_row) == list(range(len(rows)))
        for model in ours_and_theirs(XLMRobertaXLForSequenceClassification, Path(head.options.weights)):
            for row, ids in enumerate(rows):
                with torch.inference_mode():
                    expected = model(torch.tensor([ids])).logits.numpy()
                np.testing.assert_allclose(by_row[row], expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "pooler"])
def test_vectors_are_those_of_one_row_at_a_time(pooling: str, directory: Path) -> None:
    rows = rows_of_tokens(LENGTHS)
    by_row = run([head_of(directory, "vector", "embedding", pooling=pooling)], rows)["vector"]
    for model in ours_and_theirs(XLMRobertaXLModel, directory):
        for row, ids in enumerate(rows):
            with torch.inference_mode():
                output = model(torch.tensor([ids]))
            states = output.last_hidden_state[0]
            expected = {
                "mean": states.mean(dim=0),
                "cls": states[0],
                "max": states.max(dim=0).values,
                "pooler": output.pooler_output[0],
            }[pooling]
            np.testing.assert_allclose(by_row[row][0], expected.numpy(), atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("is_tied", [True, False])
def test_sampled_losses_are_those_of_one_row_at_a_time(
    is_tied: bool, directory: Path, other_directory: Path
) -> None:
    rows = rows_of_tokens(LENGTHS)
    weights = directory if is_tied else other_directory
    head = head_of(weights, "loss", "masked-lm-loss", mask_probability=0.3, seed=4)
    by_row = run([head], rows)["loss"]
    hashes = row_hashes("a.parquet", 0, len(rows))
    # The row of two tokens has no text to predict.
    assert sorted(by_row) == [row for row, ids in enumerate(rows) if len(ids) > 2]
    for model in ours_and_theirs(XLMRobertaXLForMaskedLM, weights):
        for row in by_row:
            text = np.array(rows[row][1:-1], dtype=np.int32)
            masked, labels = sample_masks(
                text,
                np.zeros(len(text), dtype=np.int64),
                np.arange(len(text)),
                np.ones(len(text), dtype=bool),
                hashes[row : row + 1],
                probability=0.3,
                seed=4,
                vocabulary=VOCABULARY,
            )
            nothing = np.array([-100], dtype=np.int32)
            expected = nll_of(model, [0, *masked.tolist(), 2], np.concatenate([nothing, labels, nothing]))
            np.testing.assert_allclose(by_row[row], expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_masking_each_token_in_turn_is_the_pseudo_log_likelihood(directory: Path) -> None:
    rows = rows_of_tokens([6, 2, 9])
    by_row = run([head_of(directory, "loss", "masked-lm-loss", strategy="all")], rows)["loss"]
    assert sorted(by_row) == [0, 2]
    for model in ours_and_theirs(XLMRobertaXLForMaskedLM, directory):
        for row in by_row:
            expected = []
            for position in range(1, len(rows[row]) - 1):
                ids, labels = list(rows[row]), np.full(len(rows[row]), -100, dtype=np.int32)
                labels[position], ids[position] = ids[position], VOCABULARY.mask_id
                expected.append(nll_of(model, ids, labels)[0])
            np.testing.assert_allclose(by_row[row], expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_heads_do_not_change_each_other_and_share_a_pass(directory: Path, other_directory: Path) -> None:
    rows = rows_of_tokens(LENGTHS)
    heads = [
        head_of(directory, "topic", "text-classification"),
        head_of(directory, "vector", "embedding"),
        head_of(directory, "loss", "masked-lm-loss"),
        head_of(directory, "pooled", "embedding", pooling="pooler"),
        head_of(other_directory, "elsewhere", "embedding"),
        head_of(other_directory, "foreign", "text-classification", trunk=directory),
    ]
    together = run(heads, rows)
    for head in heads:
        for row, values in run([head], rows)[head.name].items():
            np.testing.assert_allclose(together[head.name][row], values, atol=TOLERANCE, rtol=TOLERANCE)
    shard = ModelRunner(heads, FP32, ShardGroup())
    batch = RankBatch(
        str(directory), np.array(rows[0], dtype=np.int32), np.array([len(rows[0])], dtype=np.int32), {}
    )
    shard.launch(batch)
    assert shard.num_trunk_tokens == len(rows[0])


@pytest.mark.parametrize("token_budget", [1, 64, 100_000])
def test_how_batches_are_cut_changes_nothing(token_budget: int, directory: Path) -> None:
    rows = rows_of_tokens(LENGTHS)
    heads = [
        head_of(directory, "topic", "text-classification"),
        head_of(directory, "vector", "embedding"),
        head_of(directory, "loss", "masked-lm-loss"),
    ]
    expected, found = run(heads, rows), run(heads, rows, token_budget=token_budget)
    for head in heads:
        for row, values in expected[head.name].items():
            np.testing.assert_allclose(found[head.name][row], values, atol=TOLERANCE, rtol=TOLERANCE)


def test_bf16_weights_give_fp32_results_near_those_of_fp32(directory: Path) -> None:
    rows = rows_of_tokens(LENGTHS)
    heads = [
        head_of(directory, "topic", "text-classification"),
        head_of(directory, "vector", "embedding"),
        head_of(directory, "loss", "masked-lm-loss"),
    ]
    bf16 = RankSettings("cpu", "bfloat16", num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE)
    shard = ModelRunner(heads, bf16, ShardGroup())
    modules = [*shard._trunks.values(), *(module for head in shard._modules.values() for module in head.values())]
    assert {p.dtype for module in modules for p in module.parameters()} == {torch.bfloat16}
    found, expected = run(heads, rows, settings=bf16), run(heads, rows)
    for head in heads:
        for row, values in expected[head.name].items():
            np.testing.assert_allclose(found[head.name][row], values, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("dtype", [pytest.param("int8", marks=needs_vnni), "float8"])
def test_eight_bits_are_computed_where_they_are_asked_for(dtype: str, directory: Path) -> None:
    heads = [head_of(directory, "topic", "text-classification")]
    settings = RankSettings("cpu", dtype, num_threads=1, num_usable_tokens=TINY_VOCAB_SIZE)
    linears = ModelRunner(heads, settings, ShardGroup())._trunks[str(directory)].modules()
    assert any(isinstance(m, Float8Linear if dtype == "float8" else Int8Linear | AmxInt8Linear) for m in linears)
    found, expected = (run(heads, rows_of_tokens(LENGTHS), settings=s)["topic"] for s in (settings, FP32))
    for row, values in expected.items():
        np.testing.assert_allclose(found[row], values, atol=0.2, rtol=0.2)


def test_a_head_without_weights_is_refused(tmp_path: Path) -> None:
    directory = tiny_checkpoint(tmp_path, heads=frozenset({"lm_head"}))
    with pytest.raises(CheckpointError, match=r"heads\.topic\.weights: .* lacks classifier\.dense\.weight"):
        ModelRunner([head_of(directory, "topic", "text-classification")], FP32, ShardGroup())
