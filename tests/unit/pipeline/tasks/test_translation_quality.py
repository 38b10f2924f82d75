"""Translation quality through the path of a row, against the same spelled out with Transformers."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from safetensors.torch import load_file, save_file

from model import ShardGroup, XLMRobertaXLTokenizer
from pipeline.batching.finite_results import NOT_FINITE
from pipeline.errors import ConfigError
from pipeline.heads.preflight import require_runnable
from pipeline.heads.resolve import resolve_heads
from pipeline.tasks.contract import SequenceSpec
from tests.comet_checkpoints import METRICS, write_converted
from tests.comet_reference import Judgement, Reference, joined
from tests.distributed.processes import run_on_ranks
from tests.pipeline_in_process import annotate_in_process
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import job_of

NUM_ROWS = 40
SUB_SCORES = ("src_score", "ref_score", "unified_score")
LONG = " ".join(SENTENCES)


@dataclass
class Metric:
    """A converted checkpoint and its reference."""

    directory: Path
    kind: str
    tensors: dict[str, torch.Tensor]

    @property
    def path(self) -> Path:
        return self.directory / "converted"

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.tensors, METRICS[self.kind])

    @cached_property
    def tokenizer(self) -> XLMRobertaXLTokenizer:
        return XLMRobertaXLTokenizer(self.directory / "tokenizer/sentencepiece.bpe.model")

    def judge(self, row: dict[str, Any], *, with_reference: bool) -> Judgement:
        reference = row["reference"] if with_reference else None
        return self.reference.judge(self.tokenizer, row["translation"], row["source"], reference)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metric]:
    found = {}
    for kind in METRICS:
        directory = tmp_path_factory.mktemp(kind)
        found[kind] = Metric(directory, kind, dict(write_converted(directory, METRICS[kind])))
    return found


def pairs() -> pa.Table:
    """Sentences of all scripts, one three times, and pairs and references that do not fit."""
    translations = [*SENTENCES[: NUM_ROWS - 4], LONG, LONG, "ab", LONG * 3]
    sources = [*SENTENCES[4:NUM_ROWS], "ab", LONG, LONG, LONG]
    references = [*SENTENCES[2 : NUM_ROWS - 2], "c", LONG, "d", "e"]
    sources[0] = references[0] = translations[0]
    return pa.table({"translation": translations, "source": sources, "reference": references})


def score(group: ShardGroup, directory: Path, model: Path, head: dict[str, Any]) -> list[dict[str, Any]]:
    table = pairs()
    output, _ = annotate_in_process(directory, table, {"quality": head}, model, group=group)
    rows: list[dict[str, Any]] = output.to_pylist()
    return rows


CASES = [("kiwi", False), ("unite", False), ("unite", True), ("xcomet", False), ("xcomet", True)]

ON_TWO_RANKS = [
    pytest.param(2, *case, marks=() if case == ("xcomet", True) else pytest.mark.slow) for case in CASES
]


@pytest.mark.parametrize(("num_ranks", "kind", "with_reference"), [*((1, *case) for case in CASES), *ON_TWO_RANKS])
def test_scores_and_spans(
    tmp_path: Path, metrics: dict[str, Metric], num_ranks: int, kind: str, with_reference: bool
) -> None:
    metric = metrics[kind]
    head = {"task": "translation-quality"} | ({"reference": "reference"} if with_reference else {})
    if num_ranks == 1:
        rows = score(ShardGroup(), tmp_path, metric.path, head)
    else:
        score_here = (tmp_path, metric.path, head)
        # The file of the rows is there before the ranks look for it.
        score(ShardGroup(), *score_here)
        rows = run_on_ranks(num_ranks, score, *score_here)[0]
    num_spans = 0
    for i, row in enumerate(rows):
        expected, found = metric.judge(row, with_reference=with_reference), row["quality"]
        assert row["error"] is None
        assert found["score"] == pytest.approx(expected.score, abs=2e-5), i
        for name, value in zip(SUB_SCORES, expected.sub_scores, strict=False):
            if name in found:
                assert found[name] == pytest.approx(value, abs=2e-5), (i, name)
        if expected.mqm_score is not None:
            assert found["mqm_score"] == pytest.approx(expected.mqm_score)
            assert_spans(metric, row, expected)
            num_spans += len(expected.spans)
    if kind == "xcomet":
        assert num_spans > 20
    assert np.std([row["quality"]["score"] for row in rows]) > 0.01


def assert_spans(metric: Metric, row: dict[str, Any], expected: Judgement) -> None:
    """The spans of a row; their places are those of the tokenizer's pieces."""
    text = row["translation"]
    places = metric.tokenizer(text, return_offsets_mapping=True).offset_mapping
    assert len(row["quality"]["spans"]) == len(expected.spans)
    for span, (label, first, last, score) in zip(row["quality"]["spans"], expected.spans, strict=True):
        assert span["severity"] == METRICS["xcomet"]["error_labels"][label - 1]
        start = places[first][0] if first or last == first else places[first + 1][0]
        assert (span["start"], span["end"]) == (start, places[last][1])
        assert span["text"] == text[span["start"] : span["end"]]
        assert span["score"] == pytest.approx(score, abs=2e-5)


def test_each_sequence_passes_the_trunk_once(tmp_path: Path, metrics: dict[str, Metric]) -> None:
    """Another metric on the same trunk reads the same sequences, and a vector of the source its own."""
    trunk = metrics["xcomet"].path
    quality = {"task": "translation-quality", "reference": "reference"}
    higher = quality | {"weights": str(head_with_higher_scores(metrics["unite"].path, tmp_path / "higher"))}
    vector = {"task": "embedding", "text": "source", "layer": 1}

    def run(heads: dict[str, Any]) -> tuple[pa.Table, int]:
        table, shard = annotate_in_process(tmp_path, pairs(), heads, trunk)
        return table, shard.num_trunk_tokens

    alone, num_tokens = run({"xcomet": quality})
    both, num_tokens_of_both = run({"xcomet": quality, "higher": higher})
    assert num_tokens_of_both == num_tokens == sum(len(ids) for ids in sequences_of(metrics["xcomet"]))
    assert both.column("xcomet").equals(alone.column("xcomet"))
    for name in SUB_SCORES:
        found, others = (pc.struct_field(both.column(head), name).to_numpy() for head in ("xcomet", "higher"))
        np.testing.assert_allclose(others, found + 1, atol=1e-5)
    _, num_tokens_of_vector = run({"vector": vector})
    more, num_tokens_of_all = run({"xcomet": quality, "higher": higher, "vector": vector})
    assert num_tokens_of_all == num_tokens + num_tokens_of_vector
    for name in SUB_SCORES:
        found, others = (pc.struct_field(table.column("xcomet"), name).to_numpy() for table in (more, alone))
        np.testing.assert_allclose(found, others, atol=1e-5)


def test_a_vector_of_the_same_pair_shares_the_pass(tmp_path: Path, metrics: dict[str, Metric]) -> None:
    trunk = metrics["kiwi"].path
    quality = {"task": "translation-quality"}
    vector = {"task": "embedding", "text": "translation", "text_pair": "source", "layer": -1, "normalize": False}

    def run(**heads: dict[str, Any]) -> tuple[pa.Table, int]:
        table, shard = annotate_in_process(tmp_path, pairs(), heads, trunk)
        return table, shard.num_trunk_tokens

    alone, num_tokens = run(quality=quality)
    both, num_tokens_of_both = run(quality=quality, vector=vector | {"joined": "translation"})
    assert num_tokens_of_both == num_tokens
    np.testing.assert_allclose(
        *(pc.struct_field(table.column("quality"), "score").to_numpy() for table in (both, alone)), atol=1e-5
    )
    # Without the option it takes a pass of its own, and gives the same vectors where the pair fits.
    apart, num_tokens_of_apart = run(quality=quality, vector=vector)
    assert num_tokens_of_apart > num_tokens
    lengths = np.array([len(ids) for ids in sequences_of(metrics["kiwi"])[::3]])
    fits = lengths < lengths.max()
    assert 3 < fits.sum() < len(fits)
    found, expected = (np.array(table.column("vector").to_pylist())[fits] for table in (both, apart))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def head_with_higher_scores(converted: Path, directory: Path) -> Path:
    """The head of a checkpoint without its trunk; its scores are higher by 1."""
    tensors = load_file(converted / "model.safetensors")
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("roberta.")}
    tensors["estimator.layers.2.bias"] += 1
    directory.mkdir()
    save_file(tensors, directory / "model.safetensors")
    (directory / "config.json").write_bytes((converted / "config.json").read_bytes())
    return directory


def sequences_of(metric: Metric) -> list[list[int]]:
    """All sequences of the pairs."""
    found = []
    for row in pairs().to_pylist():
        mt, src, ref = (
            metric.tokenizer(row[name], add_special_tokens=False).input_ids
            for name in ("translation", "source", "reference")
        )
        found += [joined(mt, src), joined(mt, ref), joined(mt, src, ref)]
    return found


def test_rows_that_go_wrong_leave_the_others_alone(tmp_path: Path, metrics: dict[str, Metric]) -> None:
    table = pairs().slice(0, 6).to_pydict()
    whole, _ = annotate_in_process(
        tmp_path,
        pa.table(table),
        {"q": {"task": "translation-quality", "reference": "reference"}},
        metrics["xcomet"].path,
    )
    (tmp_path / "input.parquet").unlink()
    table["source"][1], table["translation"][3], table["reference"][4] = None, " ", ""
    found, _ = annotate_in_process(
        tmp_path,
        pa.table(table),
        {"q": {"task": "translation-quality", "reference": "reference"}},
        metrics["xcomet"].path,
    )
    assert found.column("error").to_pylist() == [
        None,
        "column 'source' is null, expected text",
        None,
        "column 'translation' is blank, expected text",
        "column 'reference' is empty, expected text",
        None,
    ]
    values = found.column("q").to_pylist()
    assert [i for i, value in enumerate(values) if value is None] == [1, 3, 4]
    for i in (0, 2, 5):
        assert values[i]["score"] == pytest.approx(whole.column("q")[i]["score"].as_py(), abs=1e-6)


def test_blank_texts_are_scored_where_they_are_asked_for(tmp_path: Path, metrics: dict[str, Metric]) -> None:
    table = pa.table({"translation": ["", "ab", "  "], "source": ["ab", "", ""], "reference": ["", "a", ""]})
    head = {"task": "translation-quality", "reference": "reference", "blank": "score"}
    output, _ = annotate_in_process(tmp_path, table, {"quality": head}, metrics["xcomet"].path)
    for row in output.to_pylist():
        expected = metrics["xcomet"].judge(row, with_reference=True)
        assert row["quality"]["score"] == pytest.approx(expected.score, abs=2e-5)
        assert_spans(metrics["xcomet"], row, expected)


def test_states_that_are_not_finite_give_no_score(tmp_path: Path, metrics: dict[str, Metric]) -> None:
    """The tanh of the estimator would make a plausible score of infinity."""
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in metrics["kiwi"].path.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    tensors = load_file(broken / "model.safetensors")
    tensors["roberta.embeddings.word_embeddings.weight"][:] = 3e38
    save_file(tensors, broken / "model.safetensors")
    output, _ = annotate_in_process(tmp_path, pairs().slice(0, 3), {"q": {"task": "translation-quality"}}, broken)
    assert output.column("q").null_count == 3
    assert all(NOT_FINITE in error for error in output.column("error").to_pylist())


def test_a_row_reads_its_columns(metrics: dict[str, Metric]) -> None:
    head = {"task": "translation-quality", "source": "a.src", "translation": "mt", "reference": "ref"}
    [resolved] = resolve_heads(job_of(metrics["unite"].path, {"q": head}))
    columns = ("mt", "a.src", "ref")
    assert resolved.sequence_spec == SequenceSpec("translation", columns, 512, truncate=True)
    assert resolved.options.text_columns == columns


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "kiwi",
        {"reference": "ref"},
        'heads.q.reference: found "ref", expected none, as this checkpoint was trained',
    ),
    ("tokenizer", {}, "config.json is not there"),
    (
        "raw",
        {},
        "found hparams.yaml, as COMET checkpoints have; convert it with xlmr-convert, and name the result",
    ),
]


@pytest.mark.parametrize(("kind", "options", "message"), REFUSED)
def test_what_is_refused_before_any_work(
    metrics: dict[str, Metric], kind: str, options: dict[str, Any], message: str
) -> None:
    path = metrics[kind].path if kind in metrics else metrics["kiwi"].directory / kind
    with pytest.raises(ConfigError) as caught:
        resolve_heads(job_of(path, {"q": {"task": "translation-quality", **options}}))
    assert message in str(caught.value)


@pytest.mark.parametrize("lost", ["tags.weight", "mix.gamma", "estimator.layers.1.bias"])
def test_a_checkpoint_without_a_tensor_of_the_head_is_refused(
    tmp_path: Path, metrics: dict[str, Metric], lost: str
) -> None:
    for file in metrics["xcomet"].path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors[lost]
    save_file(tensors, tmp_path / "model.safetensors")
    job = job_of(tmp_path, {"q": {"task": "translation-quality"}})
    with pytest.raises(ConfigError, match=f"has no {lost}, which task translation-quality needs"):
        require_runnable(job, resolve_heads(job))
