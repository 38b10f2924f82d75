import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.job import JobConfig
from pipeline.driver.identity import content_digest, run_identity
from pipeline.heads.resolve import resolve_heads
from pipeline.tasks.all_tasks import TASKS
from tests.tiny_tokenizer import write_tiny_sentencepiece
from tests.unit.pipeline.compute_fixtures import job_of, make_head, tiny_checkpoint

HEADS: dict[str, Any] = {"topic": {"task": "text-classification"}, "loss": {"task": "masked-lm-loss"}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path / "model")


def identity(job: JobConfig) -> dict[str, str]:
    return run_identity(job, resolve_heads(job))


def changes(model: Path, heads: dict[str, Any] | None = None, /, **sections: dict[str, Any]) -> list[str]:
    """Names that differ from the job as it was."""
    before = identity(job_of(model, HEADS))
    after = identity(job_of(model, heads or HEADS, **sections))
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def test_the_same_job_is_the_same_run(model: Path, tmp_path: Path) -> None:
    assert changes(model) == []
    copy = tiny_checkpoint(tmp_path / "copy")
    assert identity(job_of(copy, HEADS)) == identity(job_of(model, HEADS))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "dtype", "float32"),
        ("model", "device", "cpu"),
        ("model", "tensor_parallel_size", 2),
        ("model", "token_budget", 1024),
        ("input", "route", "heads"),
        ("input", "columns", ["id"]),
        ("input", "max_fragment_rows", 10),
        ("input", "max_fragment_bytes", 10),
        ("output", "compression", "snappy"),
    ],
)
def test_an_option_that_shows_in_the_output_is_named(section: str, key: str, value: Any, model: Path) -> None:
    assert changes(model, **{section: {key: value}}) == [f"{section}.{key}"]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "replicas", 3),
        ("model", "cpus_per_rank", 2),
        ("input", "path", "elsewhere"),
        ("output", "path", "elsewhere"),
        ("output", "lease_timeout_s", 5),
        ("run", "cost_per_hour", 12.5),
    ],
)
def test_where_things_are_and_how_many_work_on_them_is_left_out(
    section: str, key: str, value: Any, model: Path
) -> None:
    assert changes(model, **{section: {key: value}}) == []


@pytest.mark.parametrize(
    ("head", "key", "value"),
    [("topic", "text_pair", "b"), ("topic", "text", "b"), ("loss", "mask_probability", 0.5), ("loss", "seed", 9)],
)
def test_an_option_of_a_head_is_named(head: str, key: str, value: Any, model: Path) -> None:
    heads = {name: {**options} for name, options in HEADS.items()}
    heads[head][key] = value
    assert changes(model, heads) == [f"heads.{head}.{key}"]


LATER = [
    ("topic", "text-classification", "logits", False),
    ("choice", "multiple-choice", "logits", False),
    ("masked", "masked-lm-loss", "perplexity", True),
    ("causal", "causal-lm-loss", "perplexity", True),
    ("vector", "embedding", "layer", 0),
    ("vectors", "embedding", "layers", "all"),
    ("others", "embedding", "layers", [0, -1]),
]


@pytest.mark.parametrize(("name", "task", "key", "value"), LATER)
def test_an_option_that_was_added_later_is_named_where_it_is_not_at_its_default(
    name: str, task: str, key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = identity_without_files({name: {"task": task}}, monkeypatch)
    default = TASKS[task].options.model_fields[key].default
    assert identity_without_files({name: {"task": task, key: default}}, monkeypatch) == without
    changed = identity_without_files({name: {"task": task, key: value}}, monkeypatch)
    assert changed == without | {f"heads.{name}.{key}": json.dumps(value)}


def identity_without_files(heads: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("tokenizer_digest", "weights_digest"):
        monkeypatch.setattr(f"pipeline.driver.identity.{name}", lambda _: "digest")
    monkeypatch.setattr("pipeline.driver.identity.version", lambda _: "0.2.0")
    return run_identity(job_of("m", heads), [make_head(name, trunk="m", **head) for name, head in heads.items()])


def test_an_output_that_was_begun_before_can_be_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = json.loads(Path(__file__).with_name("identity_0_2_0.json").read_text(encoding="utf-8"))
    labels = {"zero-shot-classification": {"labels": ["a", "b"]}}
    heads = {name: {"task": name, **labels.get(name, {})} for name in json.loads(stored["heads"])}
    assert identity_without_files(heads, monkeypatch) == stored


def test_heads_and_their_order_are_columns_of_the_output(model: Path) -> None:
    assert changes(model, dict(reversed(HEADS.items()))) == ["heads"]
    more = changes(model, {**HEADS, "vector": {"task": "embedding"}})
    assert more[0] == "heads"
    assert all(name.startswith("heads.vector.") for name in more[1:])


def touch_weights(model: Path) -> None:
    file = model / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def rename_label(model: Path) -> None:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config["id2label"]["0"] = "another"
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")


def change_tokenizer(model: Path) -> None:
    write_tiny_sentencepiece(model, vocab_size=599)


def change_settings(model: Path) -> None:
    (model / "tokenizer_config.json").write_text('{"truncation_side": "left"}', encoding="utf-8")


def add_files_that_are_not_read(model: Path) -> None:
    (model / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
    )
    (model / "pytorch_model.bin").write_bytes(b"other weights")


WEIGHTS = [f"heads.{name}.{part}" for name in HEADS for part in ("weights", "trunk")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (touch_weights, WEIGHTS),
        (rename_label, WEIGHTS),
        (change_tokenizer, ["tokenizer"]),
        (change_settings, ["tokenizer"]),
        (add_files_that_are_not_read, []),
    ],
)
def test_a_changed_file_is_named(change: Callable[[Path], None], expected: list[str], model: Path) -> None:
    before = identity(job_of(model, HEADS))
    change(model)
    after = identity(job_of(model, HEADS))
    assert [name for name in before if before[name] != after[name]] == expected


def test_a_head_of_its_own_directory_is_told_apart_from_the_trunk(model: Path, tmp_path: Path) -> None:
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    heads = {**HEADS, "topic": {**HEADS["topic"], "weights": str(other)}}
    assert changes(model, heads) == ["heads.topic.weights"]
    heads["topic"]["trunk"] = str(other)
    assert changes(model, heads) == ["heads.topic.weights", "heads.topic.trunk"]


class TestContentDigest:
    def test_is_of_names_and_contents_alone(self, tmp_path: Path) -> None:
        for folder in ("x", "y"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a.safetensors").write_bytes(b"a" * 3_000_000)
            (tmp_path / folder / "b.safetensors").write_bytes(b"b")
        x = [tmp_path / "x" / f"{name}.safetensors" for name in "ab"]
        y = [tmp_path / "y" / f"{name}.safetensors" for name in "ba"]
        digest = content_digest(x)
        assert len(digest) == 64
        assert content_digest(y) == content_digest(iter(x)) == digest

        (tmp_path / "y/b.safetensors").write_bytes(b"c")
        assert content_digest(y) != digest
        assert content_digest(x[:1]) != digest
        (tmp_path / "x/b.safetensors").rename(tmp_path / "x/c.safetensors")
        assert content_digest([x[0], tmp_path / "x/c.safetensors"]) != digest

    @pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**21, 2**21 + 1, 5 * 2**20 + 7])
    def test_pieces_count_in_their_order(self, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.driver.identity._PIECE_BYTES", 2**21)
        content = bytearray(random.Random(0).randbytes(size))
        file = tmp_path / "a"
        file.write_bytes(content)
        found = {content_digest([file])}
        for place in range(0, size, 2**20):
            content[place] ^= 1
            file.write_bytes(content)
            content[place] ^= 1
            found.add(content_digest([file]))
        file.write_bytes(content[2**21 :] + content[: 2**21])
        found.add(content_digest([file]))
        file.write_bytes(content + b"x")
        found.add(content_digest([file]))
        # As it is, a byte of every megabyte changed, one more byte, and pieces in another order if there are some.
        assert len(found) == 2 + -(-size // 2**20) + (size > 2**21)

    def test_pieces_belong_to_their_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.driver.identity._PIECE_BYTES", 2**20)
        first, second, third, fourth = (bytes([n]) * 2**20 for n in range(4))
        found = set()
        for x, y in ((first + second, third + fourth), (first + fourth, third + second)):
            for folder, content in (("x", x), ("y", y)):
                (tmp_path / folder).mkdir(exist_ok=True)
                (tmp_path / folder / "a").write_bytes(content)
            found.add(content_digest([tmp_path / "x/a", tmp_path / "y/a"]))
        assert len(found) == 2

    def test_files_of_the_same_name_all_count(self, tmp_path: Path) -> None:
        for folder in ("x", "y"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "a").write_bytes(folder.encode())
        x, y = tmp_path / "x/a", tmp_path / "y/a"
        assert len({content_digest(paths) for paths in ([x], [y], [x, y])}) == 3
        assert content_digest([x, y]) == content_digest([y, x])
