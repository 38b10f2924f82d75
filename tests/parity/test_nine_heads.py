"""Nine heads of all encoder tasks in one job, each row with those that it asks for, against single-head jobs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from pipeline.batching.rank_batch import RankBatch
from pipeline.replica.device_transfer import PendingOutput
from pipeline.replica.model_runner import ModelRunner
from tests.parity.tasks.reference import plain_windows
from tests.pipeline_in_process import annotate_in_process
from tests.task_checkpoints import TaskCheckpoints, copy_of, write_task_checkpoints
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

Row = dict[str, Any]
Heads = dict[str, dict[str, Any]]

LONG = " ".join(SENTENCES * 3)
ON_TEXT = ("topic", "entities", "vector")
"""The heads that read one and the same sequence."""
TOLERANCE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def single_thread() -> Iterator[None]:
    """Of the fixtures too; the models are so small that more threads would be slower."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> TaskCheckpoints:
    directory = tmp_path_factory.mktemp("checkpoints")
    return write_task_checkpoints(directory, write_tiny_sentencepiece(directory))


@pytest.fixture(scope="module")
def heads(checkpoints: TaskCheckpoints) -> Heads:
    path = checkpoints.path
    return {
        "topic": {"task": "text-classification", "weights": path("topic")},
        "entities": {"task": "token-classification", "weights": path("entities"), "aggregation": "average"},
        "answer": {"task": "question-answering", "weights": path("answer"), "context": "text"},
        "choice": {"task": "multiple-choice", "weights": path("choice"), "prompt": "text", "choices": "options"},
        "vector": {"task": "embedding"},
        "fill": {"task": "fill-mask", "text": "masked"},
        "loss": {"task": "masked-lm-loss"},
        "about": {
            "task": "zero-shot-classification",
            "weights": path("nli"),
            "labels": ["ships", "bread", "rain"],
        },
        "own": {"task": "text-classification", "weights": path("own"), "trunk": path("own")},
    }


@pytest.fixture(scope="module")
def rows(heads: Heads) -> list[Row]:
    """Good rows that ask for all kinds of subsets, a long one, and rows that go wrong in every way."""
    names = list(heads)
    rows = [_row(sentence, i) for i, sentence in enumerate(SENTENCES)]
    for i, row in enumerate(rows):
        row["route"] = [name for k, name in enumerate(names) if (i * 7 + 3) >> k & 1 or i % 9 == k]
    rows += [
        _row(LONG, 50) | {"route": [*ON_TEXT, "answer", "loss"]},
        _row(SENTENCES[0], 51) | {"route": None},
        _row(SENTENCES[1], 52) | {"route": []},
        _row(SENTENCES[2], 53) | {"route": ["topic", "tropic"]},
        _row(SENTENCES[3], 54) | {"route": [None, "topic"]},
        _row(SENTENCES[4], 55) | {"text": None, "route": None},
        _row(SENTENCES[5], 56) | {"text": " \u3000\n", "route": ["vector", "fill"]},
        _row(SENTENCES[6], 57) | {"text": "\u200b\u200b", "route": ["loss", "topic"]},
        _row(SENTENCES[7], 58) | {"masked": "no mask in here", "route": ["fill", "own"]},
        _row(SENTENCES[8], 59) | {"masked": "no mask in here", "route": ["own"]},
        _row(SENTENCES[9], 60) | {"question": None, "options": [], "route": None},
        _row(SENTENCES[10], 61) | {"options": ["one", None], "route": ["choice", "answer"]},
        _row(SENTENCES[11], 62) | {"question": "", "text": "", "route": ["answer", "choice", "about"]},
    ]
    return rows


def _row(text: str, number: int) -> Row:
    words = text.split()
    return {
        "text": text,
        "question": SENTENCES[number % 7],
        "options": list(SENTENCES[number % 5 : number % 5 + 1 + number % 3]),
        "masked": " ".join([*words[:2], "<mask>", *words[3:12]]),
    }


TABLE_TYPE = pa.schema(
    {
        "text": pa.string(),
        "question": pa.string(),
        "options": pa.list_(pa.string()),
        "masked": pa.string(),
        "route": pa.list_(pa.string()),
    }
)


def run(
    directory: Path, rows: list[Row], heads: Heads, model: Path, *, route: str | None = "route", **options: Any
) -> tuple[list[Row], ModelRunner]:
    directory.mkdir(parents=True)
    schema = options.pop("schema", TABLE_TYPE)
    output, shard = annotate_in_process(
        directory, pa.Table.from_pylist(rows, schema), heads, model, route=route, **options
    )
    return output.to_pylist(), shard


@pytest.fixture(scope="module")
def alone(
    rows: list[Row], heads: Heads, checkpoints: TaskCheckpoints, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Row]]:
    """By head, the output of a job that has this head alone and gives it every row."""
    directory = tmp_path_factory.mktemp("alone")
    return {
        name: run(directory / name, rows, {name: options}, checkpoints.encoder, route=None)[0]
        for name, options in heads.items()
    }


@pytest.fixture(scope="module")
def together(
    rows: list[Row], heads: Heads, checkpoints: TaskCheckpoints, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Row], ModelRunner]:
    return run(tmp_path_factory.mktemp("together") / "job", rows, heads, checkpoints.encoder)


def asked_by(row: Row, heads: Heads) -> list[str]:
    """The heads that a row asks for; none where its route is wrong."""
    if row["route"] is None:
        return list(heads)
    return [] if set(row["route"]) - set(heads) else row["route"]


def assert_same(found: Any, expected: Any, where: str) -> None:
    """Numbers within the tolerance, all else equal."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key, value in expected.items():
            assert_same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, value in enumerate(expected):
            assert_same(found[i], value, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE), where
    else:
        assert found == expected, where


def test_each_row_has_what_it_asked_for_and_nothing_else(
    rows: list[Row], heads: Heads, alone: dict[str, list[Row]], together: tuple[list[Row], ModelRunner]
) -> None:
    output, _ = together
    assert len(output) == len(rows)
    for i, (row, found) in enumerate(zip(rows, output, strict=True)):
        asked = asked_by(row, heads)
        for name in heads:
            expected = alone[name][i][name] if name in asked else None
            assert_same(found[name], expected, f"row {i}, {name}")
    asked_and_there = {name: sum(row[name] is not None for row in output) for name in heads}
    assert min(asked_and_there.values()) > 10
    assert max(asked_and_there.values()) < len(rows) - 10


def test_an_error_is_there_where_something_is_wrong_and_only_there(
    rows: list[Row], heads: Heads, alone: dict[str, list[Row]], together: tuple[list[Row], ModelRunner]
) -> None:
    for i, (row, found) in enumerate(zip(rows, together[0], strict=True)):
        asked = asked_by(row, heads)
        problems = {part for name in asked for part in (alone[name][i]["error"] or "").split("; ") if part}
        if row["route"] and not asked:
            assert "'route'" in found["error"], i
            assert (found["num_tokens"], found["num_windows"]) == (0, 0), i
        else:
            assert set((found["error"] or "").split("; ")) - {""} == problems, i
            assert (found["error"] is None) == (not problems), i
        for name in asked:
            assert (found[name] is None) == (alone[name][i]["error"] is not None), f"row {i}, {name}"
    assert sum(row["error"] is not None for row in together[0]) == 9


def test_an_error_never_shows_a_text(rows: list[Row], together: tuple[list[Row], ModelRunner]) -> None:
    for row, found in zip(rows, together[0], strict=True):
        for text in (row["text"], row["masked"], row["question"]):
            assert not text or not text.strip() or text not in (found["error"] or "")


def test_tokens_pass_the_trunk_once_for_all_heads_that_share_them(
    rows: list[Row], heads: Heads, alone: dict[str, list[Row]], checkpoints: TaskCheckpoints, tmp_path: Path
) -> None:
    """One pass for topic, entities and vector; masked tokens, questions, choices, candidates and another trunk
    have sequences of their own. A row counts the tokens of each text that it is read as, once."""
    short = rows[: len(SENTENCES)]
    output, shard = run(tmp_path / "job", short, heads, checkpoints.encoder)
    passes = [ON_TEXT, *((name,) for name in heads if name not in ON_TEXT)]
    sources = [(*ON_TEXT, "loss", "own"), ("answer",), ("choice",), ("fill",), ("about",)]
    num_trunk_tokens = 0
    for i, row in enumerate(short):
        tokens = {name: alone[name][i]["num_tokens"] for name in row["route"]}

        def count(groups: list[tuple[str, ...]], tokens: dict[str, int] = tokens) -> int:
            return sum(max((tokens.get(name, 0) for name in group), default=0) for group in groups)

        num_trunk_tokens += count(passes)
        assert output[i]["num_tokens"] == count(sources), i
    assert shard.num_trunk_tokens == num_trunk_tokens


def test_three_heads_on_one_text_are_one_pass(
    rows: list[Row], heads: Heads, checkpoints: TaskCheckpoints, tmp_path: Path
) -> None:
    """Also of a long text, whose windows show some tokens twice."""
    texts = [row | {"route": None} for row in rows[: len(SENTENCES) + 1]]
    body = len(checkpoints.tokenizer.encode(LONG)) - 2
    windows = [window.end - window.begin + 2 for window in plain_windows(body, 510, 128)]
    expected = sum(windows) + sum(len(checkpoints.tokenizer.encode(row["text"])) for row in texts[:-1])
    for number, names in enumerate([("vector",), ON_TEXT]):
        job = {name: heads[name] for name in names}
        output, shard = run(tmp_path / str(number), texts, job, checkpoints.encoder)
        assert shard.num_trunk_tokens == expected
        assert (output[-1]["num_tokens"], output[-1]["num_windows"]) == (body + 2, len(windows))


def test_the_route_may_be_a_string(
    rows: list[Row], heads: Heads, alone: dict[str, list[Row]], checkpoints: TaskCheckpoints, tmp_path: Path
) -> None:
    names = [*heads, None, "nobody"]
    routed = [row | {"route": names[i % len(names)]} for i, row in enumerate(rows)]
    schema = TABLE_TYPE.set(TABLE_TYPE.get_field_index("route"), pa.field("route", pa.string()))
    output, _ = run(tmp_path / "job", routed, heads, checkpoints.encoder, schema=schema)
    for i, (row, found) in enumerate(zip(routed, output, strict=True)):
        asked = list(heads) if row["route"] is None else [row["route"]]
        for name in heads:
            expected = alone[name][i][name] if name in asked else None
            assert_same(found[name], expected, f"row {i}, {name}")
        assert row["route"] != "nobody" or "'nobody'" in found["error"], i


@pytest.mark.parametrize("route", [[], None, ["nobody"]])
def test_a_job_without_any_work(
    rows: list[Row], heads: Heads, checkpoints: TaskCheckpoints, tmp_path: Path, route: list[str] | None
) -> None:
    """Nobody asks for anything, no row can be read, or no route is right."""
    idle = [row | {"route": route} | ({"text": None, "masked": ""} if route is None else {}) for row in rows[:3]]
    output, shard = run(tmp_path / "job", idle, heads, checkpoints.encoder)
    assert [row[name] for row in output for name in heads] == [None] * (3 * len(heads))
    assert [row["error"] is None for row in output] == [route == []] * 3
    assert shard.num_trunk_tokens == 0


@pytest.mark.parametrize("token_budget", [512, 8192])
def test_how_rows_are_batched_changes_nothing(
    rows: list[Row],
    heads: Heads,
    together: tuple[list[Row], ModelRunner],
    checkpoints: TaskCheckpoints,
    tmp_path: Path,
    token_budget: int,
) -> None:
    """Against the budget of 2048 tokens."""
    output, shard = run(tmp_path / "job", rows, heads, checkpoints.encoder, token_budget=token_budget)
    assert shard.num_trunk_tokens == together[1].num_trunk_tokens
    for i, (found, expected) in enumerate(zip(output, together[0], strict=True)):
        assert_same(found, expected, f"row {i}")


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[RankBatch]:
    """What shards are given from here on."""
    seen: list[RankBatch] = []
    launch = ModelRunner.launch

    def record(shard: ModelRunner, batch: RankBatch) -> PendingOutput:
        seen.append(batch)
        return launch(shard, batch)

    monkeypatch.setattr(ModelRunner, "launch", record)
    return seen


def test_a_head_with_a_trunk_of_its_own_has_its_rows_batched_apart(
    rows: list[Row], heads: Heads, checkpoints: TaskCheckpoints, tmp_path: Path, batches: list[RankBatch]
) -> None:
    run(tmp_path / "job", rows, heads, checkpoints.encoder)
    own = {batch.trunk == checkpoints.path("own"): set() for batch in batches}
    for batch in batches:
        own[batch.trunk == checkpoints.path("own")] |= set(batch.requests)
    assert own == {True: {"own"}, False: set(heads) - {"own"}}


def test_equal_trunks_under_two_paths_are_one(
    rows: list[Row], heads: Heads, alone: dict[str, list[Row]], checkpoints: TaskCheckpoints, tmp_path: Path,
    batches: list[RankBatch],
) -> None:  # fmt: skip
    """Loaded once, and a text passes it once for the heads on either path."""
    copied = copy_of(checkpoints.path("own"), "own_copy")
    twin = {"task": "text-classification", "weights": copied, "trunk": copied}
    texts = rows[: len(SENTENCES)]
    output, shard = run(
        tmp_path / "job", texts, {"own": heads["own"], "twin": twin}, checkpoints.encoder, route=None
    )
    assert len({batch.trunk for batch in batches}) == 1
    assert shard.num_trunk_tokens == sum(row["num_tokens"] for row in output)
    for found, expected in zip(output, alone["own"], strict=False):
        assert_same(found["own"], expected["own"], "own")
        assert found["twin"] == found["own"]
