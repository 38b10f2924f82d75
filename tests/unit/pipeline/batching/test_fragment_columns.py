"""From encoded rows to columns with ranks that only count: what is batched, and that results find their rows."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray

from model import XLMRobertaXLForCausalLM, XLMRobertaXLForSequenceClassification
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from pipeline.batching.fragment_columns import FragmentColumns
from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.columns import sequence_column
from pipeline.encoding.fragment import encode_fragment
from pipeline.fragments import Fragment
from pipeline.heads.resolve import Head
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.tasks.requests import HeadRequest
from tests.oracle import TOLERANCE, oracle_of, randomize
from tests.pipeline_in_process import annotate_in_process, compute_head_columns
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import make_head, tiny_config

SMALL: dict[str, Any] = {"hidden_size": 4, "intermediate_size": 8}
WINDOW = 24
HEADS = [
    make_head("topic", "text-classification", window=WINDOW),
    make_head("entails", "text-classification", text_pair="hypothesis", window=WINDOW),
    make_head("vector", "embedding", window=WINDOW, normalize=False, config=tiny_config(**SMALL)),
    make_head("tokens", "embedding", window=WINDOW, level="token", normalize=False, config=tiny_config(**SMALL)),
    make_head("loss", "masked-lm-loss", window=WINDOW, mask_probability=0.4),
    make_head("all", "masked-lm-loss", window=WINDOW, strategy="all"),
    make_head("elsewhere", "text-classification", window=WINDOW, trunk="other"),
]
LONG = " ".join(SENTENCES[:4])
TEXTS = [SENTENCES[0], LONG, None, SENTENCES[6], "", " ".join(SENTENCES[20:]), SENTENCES[1], LONG]
ROUTE: list[list[str] | None] = [None, None, None, ["loss", "vector"], None, None, [], ["topic", "all"]]
TABLE = pa.table({"text": TEXTS, "hypothesis": SENTENCES[: len(TEXTS)], "heads": ROUTE})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    return load_tokenizer(str(write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer")).parent))


@dataclass
class Ranks:
    """In the place of a shard group: numbers that hang on the tokens alone, and batches taken ahead of results."""

    heads: list[Head]
    num_ahead: int = 0
    batches: list[RankBatch] = field(default_factory=list)

    def run(self, batches: Iterable[RankBatch]) -> Iterator[BatchOutput]:
        waiting: deque[RankBatch] = deque()
        for batch in batches:
            self.batches.append(batch)
            waiting.append(batch)
            if len(waiting) > self.num_ahead:
                yield self._results(waiting.popleft())
        yield from map(self._results, waiting)

    def _results(self, batch: RankBatch) -> BatchOutput:
        widths = {head.name: 4 if head.config.hidden_size == 4 else 3 for head in self.heads}
        return {n: (values_of(batch, n, request, widths[n]),) for n, request in batch.requests.items()}


def values_of(batch: RankBatch, name: str, request: HeadRequest, width: int) -> NDArray[np.float32]:
    """A loss is the token to predict, a token's vector its id, and a sequence's that of its ids added up."""
    if request.labels is not None:
        return request.labels.astype(np.float32)
    if name == "tokens":
        return np.repeat(batch.input_ids[request.index].astype(np.float32)[:, None], width, axis=1)
    ends = np.cumsum(batch.lengths)
    sums = [batch.input_ids[end - n : end].sum() for n, end in zip(batch.lengths, ends, strict=True)]
    return np.outer(np.array(sums)[request.index], np.arange(1, width + 1)).astype(np.float32)


def encode(tokenizer: XLMRobertaXLTokenizer, table: pa.Table = TABLE, heads: list[Head] = HEADS) -> pa.Table:
    return encode_fragment(table, heads, tokenizer, route="heads", kept_columns=[])


def fragment_of(num_rows: int) -> Fragment:
    return Fragment("/in/a.parquet", "a.parquet", 1, "1", 0, 1, (0,), 0, 0, num_rows, 1)


def compute(
    tokenizer: XLMRobertaXLTokenizer, ranks: Ranks, encoded: pa.Table, *, token_budget: int = 64
) -> FragmentColumns:
    fragment = fragment_of(encoded.num_rows)
    return compute_head_columns(encoded, fragment, ranks.heads, tokenizer, ranks.run, token_budget=token_budget)


def windows_of(encoded: pa.Table, spec: int, row: int) -> list[dict[str, Any]]:
    windows: list[dict[str, Any]] = encoded.column(sequence_column(spec))[row].as_py()
    return windows


def mean_of_windows(encoded: pa.Table, spec: int, row: int) -> float:
    """Of the sums of their ids, weighted by the tokens that they own."""
    windows = windows_of(encoded, spec, row)
    owned = [window["owned_end"] - window["owned_begin"] for window in windows]
    return float(np.average([sum(window["input_ids"]) for window in windows], weights=owned))


@pytest.mark.parametrize(("token_budget", "num_ahead"), [(1, 0), (64, 3), (200, 1), (10**6, 0)])
def test_columns_do_not_depend_on_how_sequences_are_batched(
    token_budget: int, num_ahead: int, tokenizer: XLMRobertaXLTokenizer
) -> None:
    encoded = encode(tokenizer)
    expected = compute(tokenizer, Ranks(HEADS), encoded)
    found = compute(tokenizer, Ranks(HEADS, num_ahead), encoded, token_budget=token_budget)
    assert list(found.columns) == [head.name for head in HEADS]
    assert found == expected


def test_a_row_has_a_value_for_each_head_that_it_asks_for(tokenizer: XLMRobertaXLTokenizer) -> None:
    columns = compute(tokenizer, Ranks(HEADS), encode(tokenizer)).columns
    for head in HEADS:
        column = columns[head.name]
        column.validate(full=True)
        assert column.type == head.output_type
        has_value = [
            bool(text) and (asked is None or head.name in asked) for text, asked in zip(TEXTS, ROUTE, strict=True)
        ]
        assert column.is_valid().to_pylist() == has_value, head.name


def test_values_are_those_of_the_row_and_windows_are_put_together(tokenizer: XLMRobertaXLTokenizer) -> None:
    encoded = encode(tokenizer)
    computed = compute(tokenizer, Ranks(HEADS), encoded).columns
    columns = {name: column.to_pylist() for name, column in computed.items()}
    assert len(windows_of(encoded, 0, 1)) > 2
    for row in (0, 1, 5):
        mean, of_pair = mean_of_windows(encoded, 0, row), mean_of_windows(encoded, 1, row)
        text = tokenizer.encode(TEXTS[row] or "")[1:-1]
        assert columns["topic"][row]["logits"] == pytest.approx([mean, 2 * mean, 3 * mean])
        assert columns["elsewhere"][row] == columns["topic"][row]
        assert columns["entails"][row]["logits"] == pytest.approx([of_pair, 2 * of_pair, 3 * of_pair])
        assert columns["vector"][row] == pytest.approx([mean, 2 * mean, 3 * mean, 4 * mean])
        assert columns["tokens"][row] == [[token] * 4 for token in text]
        assert columns["all"][row] == {"loss": sum(text) / len(text), "nll": sum(text), "num_tokens": len(text)}
        assert columns["loss"][row]["num_tokens"] == round(0.4 * len(text))


def test_batches_hold_each_sequence_once_those_of_one_trunk_within_the_budget(
    tokenizer: XLMRobertaXLTokenizer,
) -> None:
    encoded, ranks = encode(tokenizer), Ranks(HEADS)
    computed = compute(tokenizer, ranks, encoded)
    assert all(len(batch.input_ids) <= 64 for batch in ranks.batches)
    assert computed.num_tokens == sum(len(batch.input_ids) for batch in ranks.batches)
    trunks = {name: batch.trunk for batch in ranks.batches for name in batch.requests}
    assert trunks == {head.name: head.trunk for head in HEADS}
    num_windows = [len(windows_of(encoded, 0, row)) for row in range(len(TEXTS))]
    num_read = {"topic": 0, "elsewhere": 0}
    for batch in ranks.batches:
        for name in num_read.keys() & batch.requests.keys():
            num_read[name] += len(batch.requests[name].index)
    assert num_read == {
        "topic": sum(num_windows[row] for row in (0, 1, 5, 7)),
        "elsewhere": sum(num_windows[row] for row in (0, 1, 5)),
    }


def test_a_fragment_in_which_nothing_is_to_do(tokenizer: XLMRobertaXLTokenizer) -> None:
    table = pa.table({"text": [None, SENTENCES[0]], "hypothesis": ["a", "b"], "heads": [["topic"], []]})
    ranks = Ranks(HEADS)
    computed = compute(tokenizer, ranks, encode(tokenizer, table))
    assert ranks.batches == []
    assert computed.num_tokens == 0
    assert all(column.null_count == len(column) == 2 for column in computed.columns.values())


def test_prompts_are_batched_by_their_seed_and_apart_from_texts(tokenizer: XLMRobertaXLTokenizer) -> None:
    decoder = tiny_config(is_decoder=True)
    heads = [
        make_head("loss", "causal-lm-loss", config=decoder),
        *(make_head(f"{i}", "text-generation", config=decoder, seed=seed) for i, seed in enumerate([0, 5, 0])),
    ]
    batches: list[RankBatch] = []

    def run(taken: Iterable[RankBatch]) -> Iterator[BatchOutput]:
        for batch in taken:
            batches.append(batch)
            yield {}

    table = TABLE.set_column(2, "heads", pa.nulls(len(TEXTS)))
    compute_head_columns(
        encode(tokenizer, table, heads), fragment_of(len(TEXTS)), heads, tokenizer, run, token_budget=10**6
    )
    assert [sorted(batch.requests) for batch in batches] == [["loss"], ["0", "2"], ["1"]]
    assert [batch.generates for batch in batches] == [False, True, True]
    assert batches[1].input_ids.tolist() == batches[2].input_ids.tolist()
    assert batches[1].seed != batches[2].seed


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Any]:
    """Writes a model of some class with random weights and a tokenizer, in `tmp_path`."""

    def save(cls: Any, **changes: Any) -> Any:
        write_tiny_sentencepiece(tmp_path / "model")
        model = cls(tiny_config(**changes)).eval()
        randomize(model)
        model.save_pretrained(tmp_path / "model")
        return model

    return save


@torch.inference_mode()
def test_a_long_text_is_the_mean_of_its_windows_by_transformers(
    saved: Callable[..., Any], tokenizer: XLMRobertaXLTokenizer, tmp_path: Path
) -> None:
    oracle = oracle_of(saved(XLMRobertaXLForSequenceClassification))
    table = pa.table({"text": [SENTENCES[3], LONG]})
    options = {"task": "text-classification", "window": WINDOW, "stride": 0}
    output, _ = annotate_in_process(tmp_path, table, {"topic": options}, tmp_path / "model", token_budget=512)
    for text, value in zip(table["text"].to_pylist(), output["topic"].to_pylist(), strict=True):
        ids = tokenizer.encode(text)[1:-1]
        capacity = WINDOW - 2
        num_windows = -(-len(ids) // capacity)
        begins = [min(i * capacity, max(0, len(ids) - capacity)) for i in range(num_windows)]
        logits = [oracle(torch.tensor([[0, *ids[b : b + capacity], 2]])).logits[0].double() for b in begins]
        # The last window is moved back; the overlap with the one before it is shared at its middle.
        borders = [0, *((b + a + capacity) // 2 for a, b in pairwise(begins)), len(ids)]
        owned = torch.tensor(borders).diff()
        expected = (torch.stack(logits) * owned[:, None]).sum(dim=0) / len(ids)
        np.testing.assert_allclose(value["logits"], expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_heads_of_different_seeds_draw_different_texts(saved: Callable[..., Any], tmp_path: Path) -> None:
    saved(XLMRobertaXLForCausalLM, is_decoder=True)
    drawn = {"task": "text-generation", "temperature": 1.0, "max_new_tokens": 12}
    heads = {"a": {**drawn, "seed": 1}, "b": {**drawn, "seed": 2}, "c": {**drawn, "seed": 1}}
    output, shard = annotate_in_process(
        tmp_path, pa.table({"text": [*SENTENCES[:3], None]}), heads, tmp_path / "model"
    )
    assert output["a"].equals(output["c"])
    assert output["a"].is_valid().to_pylist() == [True, True, True, False]
    assert output["a"].to_pylist()[:3] != output["b"].to_pylist()[:3]
    # The prompts, once for each seed, without </s>.
    num_prompt_tokens = sum(output["num_tokens"].to_pylist())
    assert shard.num_trunk_tokens == 2 * num_prompt_tokens
