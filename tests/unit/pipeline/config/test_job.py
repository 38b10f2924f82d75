import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config.job import JobConfig, load_job_config
from pipeline.errors import ConfigError, PipelineError
from pipeline.tasks.all_tasks import HEAD_SECTIONS
from pipeline.tasks.embedding import EmbeddingHead
from pipeline.tasks.masked_lm_loss import MaskedLMLossHead
from pipeline.tasks.text_classification import TextClassificationHead

MINIMAL = """
[model]
path = "models/xl"
[input]
path = "corpus/**/*.parquet"
[output]
path = "annotated"
[heads.vector]
task = "embedding"
"""


def load(tmp_path: Path, text: str, *overrides: str) -> JobConfig:
    path = tmp_path / "job.toml"
    path.write_text(text, encoding="utf-8")
    return load_job_config(path, overrides)


def test_defaults(tmp_path: Path) -> None:
    job = load(tmp_path, MINIMAL)
    assert job.model.dtype == job.model.device == "auto"
    assert (job.model.tensor_parallel_size, job.model.replicas) == (1, 1)
    assert (job.model.token_budget, job.model.cpus_per_rank) == ("auto", None)
    assert job.input.path == ("corpus/**/*.parquet",)
    assert (job.input.text, job.input.route, job.input.columns) == ("text", None, None)
    assert (job.input.max_fragment_rows, job.input.max_fragment_bytes) == (2048, 8 * 2**20)
    assert job.input.hive == "auto"
    assert job.output.compression == "zstd"
    assert job.heads["vector"] == EmbeddingHead(
        task="embedding", weights="models/xl", text="text", pooling="mean", normalize=True
    )


def test_every_option(tmp_path: Path) -> None:
    job = load(
        tmp_path,
        """
        [model]
        path = "m"
        dtype = "bfloat16"
        device = "cpu"
        tensor_parallel_size = 4
        replicas = "auto"
        token_budget = 512
        cpus_per_rank = 2
        [input]
        path = ["a", "s3://b/c"]
        text = "body"
        route = "heads"
        hive = false
        columns = ["id", "lang", "doc.title"]
        max_fragment_rows = 10
        max_fragment_bytes = 1000
        [output]
        path = "o"
        compression = "none"
        [heads.topic]
        task = "text-classification"
        weights = "w"
        trunk = "t"
        text = "premise"
        text_pair = "hypothesis"
        truncate = true
        [heads.loss]
        task = "masked-lm-loss"
        mask_probability = 1
        strategy = "all"
        seed = 7
        """,
    )
    assert job.model.replicas == "auto"
    assert job.input.path == ("a", "s3://b/c")
    assert job.input.columns == ("id", "lang", "doc.title")
    assert job.input.hive is False
    topic, loss = job.heads["topic"], job.heads["loss"]
    assert isinstance(topic, TextClassificationHead)
    assert topic.text_columns == ("premise", "hypothesis")
    assert (topic.weights, topic.trunk, topic.truncate) == ("w", "t", True)
    assert isinstance(loss, MaskedLMLossHead)
    assert loss.text_columns == ("body",)
    assert (loss.weights, loss.mask_probability, loss.strategy, loss.seed) == ("m", 1, "all", 7)


EVERY_TASK = (
    MINIMAL
    + """
[heads.nli]
task = "text-classification"
trunk = "t"
text_pair = "doc.hypothesis"
[heads.own]
task = "text-classification"
trunk = "t"
weights = "w"
[heads.ner]
task = "token-classification"
aggregation = "first"
[heads.pos]
task = "token-classification"
words = "tokens"
[heads.qa]
task = "question-answering"
context = "doc.body"
[heads.copa]
task = "multiple-choice"
choices = ["choice1", "choice2"]
[heads.race]
task = "multiple-choice"
prompt = "article"
[heads.fill]
task = "fill-mask"
[heads.loss]
task = "masked-lm-loss"
[heads.causal]
task = "causal-lm-loss"
text = "title"
[heads.more]
task = "text-generation"
temperature = 1
top_k = 50
[heads.zero]
task = "zero-shot-classification"
labels = ["sports", "politics"]
[heads.zero2]
task = "zero-shot-classification"
labels_column = "doc.labels"
[heads.quality]
task = "translation-quality"
source = "doc.src"
reference = "ref"
"""
)


def test_heads_of_every_task_read_their_columns(tmp_path: Path) -> None:
    job = load(tmp_path, EVERY_TASK, "input.text=body")
    assert {head.task for head in job.heads.values()} == set(HEAD_SECTIONS)
    assert {name: head.text_columns for name, head in job.heads.items()} == {
        "vector": ("body",),
        "nli": ("body", "doc.hypothesis"),
        "own": ("body",),
        "ner": ("body",),
        "pos": ("tokens",),
        "qa": ("question", "doc.body"),
        "copa": ("prompt", "choice1", "choice2"),
        "race": ("article", "choices"),
        "fill": ("body",),
        "loss": ("body",),
        "causal": ("title",),
        "more": ("body",),
        "zero": ("body",),
        "zero2": ("body", "doc.labels"),
        "quality": ("translation", "doc.src", "ref"),
    }
    lists = [c.path for head in job.heads.values() for c in head.input_columns if c.shape == "list of text"]
    assert lists == ["tokens", "choices", "doc.labels"]


def test_weights_are_those_of_the_trunk_of_a_head_and_else_of_the_model(tmp_path: Path) -> None:
    heads = load(tmp_path, EVERY_TASK).heads
    assert [heads[name].weights for name in ("vector", "nli", "own")] == ["models/xl", "t", "w"]


def test_heads_keep_the_order_of_the_file(tmp_path: Path) -> None:
    heads = "".join(f'[heads.{name}]\ntask = "embedding"\n' for name in "zbya")
    job = load(tmp_path, MINIMAL + heads)
    assert list(job.heads) == ["vector", "z", "b", "y", "a"]


def test_is_frozen(tmp_path: Path) -> None:
    job = load(tmp_path, MINIMAL)
    with pytest.raises(ValidationError):
        job.model.path = "other"


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("output.path=s3://bucket/out", "output", "path", "s3://bucket/out"),
        ('output.path="quoted"', "output", "path", "quoted"),
        ("model.token_budget=1024", "model", "token_budget", 1024),
        ("model.replicas=auto", "model", "replicas", "auto"),
        ("input.columns=['id', \"lang\"]", "input", "columns", ("id", "lang")),
        ("input.route=a=b", "input", "route", "a=b"),
        ("model.dtype = float16", "model", "dtype", "float16"),
    ],
)
def test_overrides(tmp_path: Path, override: str, section: str, key: str, value: object) -> None:
    assert getattr(getattr(load(tmp_path, MINIMAL, override), section), key) == value


def test_overrides_make_tables_and_later_ones_win(tmp_path: Path) -> None:
    job = load(
        tmp_path,
        MINIMAL,
        "heads.loss.task=masked-lm-loss",
        "heads.loss.seed=1",
        "heads.loss.seed=2",
        'heads."näme".task="embedding"',
    )
    loss = job.heads["loss"]
    assert isinstance(loss, MaskedLMLossHead)
    assert loss.seed == 2
    assert list(job.heads) == ["vector", "loss", "näme"]


@pytest.mark.parametrize("override", ["nothing", "=1", "#=1", "a b=1", "a..b=1", "a\nb=1"])
def test_refuses_what_is_no_override(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"expected key\.path=value"):
        load(tmp_path, MINIMAL, override)


def test_refuses_an_override_below_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.path is a value, expected a table"):
        load(tmp_path, MINIMAL, "model.path.x=1")


@pytest.mark.parametrize("name", ["num_tokens", "num_windows", "error", "__row", "__sequences_0"])
def test_refuses_reserved_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"heads\.{name}: the name of a head is"):
        load(tmp_path, MINIMAL, f"heads.{name}.task=embedding")
    with pytest.raises(ConfigError, match=rf"input\.columns: '{name}' is"):
        load(tmp_path, MINIMAL, f"input.columns=['{name}']")


@pytest.mark.parametrize(("name", "reason"), [("", "is empty"), (" ", "empty"), ("a.b", "a dot")])
def test_refuses_head_names_that_are_no_column_names(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(tmp_path, MINIMAL + f'[heads."{name}"]\ntask = "embedding"\n')


def test_refuses_heads_named_like_carried_columns_and_columns_listed_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MINIMAL, "input.columns=['id', 'vector', 'id']")
    message = str(caught.value)
    assert "heads.vector: its column would have the name of a carried column" in message
    assert "input.columns: 'id' is listed twice" in message


@pytest.mark.parametrize(
    ("names", "columns", "problem"),
    [
        (["topic", "Topic"], [], "heads.Topic: 'Topic' differs only in case from 'topic'; "),
        (["ärger", "ÄRGER"], [], "heads.ÄRGER: 'ÄRGER' differs only in case from 'ärger'; "),
        (["Lang"], ["id", "lang"], "heads.Lang: 'Lang' differs only in case from 'lang'; "),
        (["doc_x"], ["DOC_X", "id"], "heads.doc_x: 'doc_x' differs only in case from 'DOC_X'; "),
        (["topic"], ["id", "ID"], "input.columns: 'ID' differs only in case from 'id'; "),
        (["topic"], ["doc.Body", "doc.body"], "input.columns: 'doc.body' differs only in case from 'doc.Body'; "),
        (["topic"], ["Num_Tokens"], "input.columns: 'Num_Tokens' differs only in case from 'num_tokens', which "),
        (
            ["ERROR"],
            [],
            "heads.ERROR: the name of a head differs only in case from 'error', which every output row ",
        ),
    ],
)
def test_refuses_names_that_differ_only_in_case(
    tmp_path: Path, names: list[str], columns: list[str], problem: str
) -> None:
    heads = "".join(f'[heads."{name}"]\ntask = "embedding"\n' for name in names)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, MINIMAL + heads, f"input.columns={json.dumps(columns)}")
    assert f"job.toml: {problem}" in str(caught.value)
    assert "DuckDB, Spark and other readers take such names for one; rename " in str(caught.value)


@pytest.mark.parametrize("dtype", ["int8", "float8"])
def test_refuses_to_generate_in_eight_bits(tmp_path: Path, dtype: str) -> None:
    text = MINIMAL + '[heads.more]\ntask = "text-generation"\n'
    with pytest.raises(ConfigError, match=f"heads.more: found model.dtype = '{dtype}', in which nothing is gener"):
        load(tmp_path, text, f"model.dtype={dtype}")
    assert load(tmp_path, MINIMAL, f"model.dtype={dtype}").model.dtype == dtype


def test_refuses_a_job_without_heads(tmp_path: Path) -> None:
    text = MINIMAL.partition("[heads")[0]
    for heads in ("", "[heads]\n"):
        with pytest.raises(ConfigError, match=r"heads: .*at least one; add \[heads\.NAME\]"):
            load(tmp_path, text + heads)


def test_refuses_files_that_are_not_toml_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job\.toml: not a TOML file: .*line 1"):
        load(tmp_path, "a = ]\n")
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe4"')
    with pytest.raises(ConfigError, match=r"latin\.toml: not a TOML file"):
        load_job_config(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match=r"absent\.toml: .*No such file"):
        load_job_config(tmp_path / "absent.toml")


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.lstrip().replace("\n", "\r\n").encode())
    assert load_job_config(path).output.path == "annotated"
    path.write_text(MINIMAL, encoding="utf-16")
    with pytest.raises(ConfigError, match=r"job\.toml: not a TOML file: expected UTF-8, .*; save it as UTF-8"):
        load_job_config(path)


def test_refuses_a_number_with_more_digits_than_python_reads(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job\.toml: not a TOML file: Exceeds the limit"):
        load(tmp_path, f"a = {'9' * 5000}")


def test_errors_can_be_caught_as_value_errors_and_as_ours(tmp_path: Path) -> None:
    for kind in (ValueError, PipelineError):
        with pytest.raises(kind, match=re.escape("model.dtype")):
            load(tmp_path, MINIMAL, "model.dtype=int3")


@pytest.mark.parametrize("section", ["model.stall_timeout_s", "output.lease_timeout_s", "heads.g.temperature"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_options_are_finite(section: str, value: str, tmp_path: Path) -> None:
    text = MINIMAL + '[heads.g]\ntask = "text-generation"\n'
    with pytest.raises(ConfigError, match=rf"(?i){section} .*: found {value}\w* \(float\), expected"):
        load(tmp_path, text, f"{section}={value}")
