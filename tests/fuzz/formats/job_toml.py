"""The job file, and `--set` on the command line."""

import json
import random
import tempfile
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.job import load_job_config
from pipeline.errors import ConfigError
from pipeline.tasks.all_tasks import HEAD_SECTIONS
from pipeline.tasks.sections import WindowedHeadSection
from tests.fuzz.folders import put
from tests.fuzz.mutations import VALUES as JSON_VALUES
from tests.fuzz.mutations import damaged, mutated
from tests.fuzz.outcome import refusals

JOB: dict[str, Any] = {
    "model": {"path": "models/xl", "dtype": "auto", "replicas": 1, "token_budget": 512, "stall_timeout_s": 1.5},
    "input": {"path": ["corpus"], "text": "text", "columns": ["id"], "max_fragment_rows": 64, "hive": "auto"},
    "output": {"path": "annotated", "compression": "zstd"},
    "heads": {
        "topic": {"task": "text-classification", "weights": "heads/topic", "window": 64, "stride": 8},
        "vector": {"task": "embedding", "pooling": "mean", "normalize": True},
        "answer": {"task": "question-answering", "question": "q", "context": "c"},
        "kind": {"task": "zero-shot-classification", "labels": ["a", "b"], "hypothesis_template": "About {}."},
        "choice": {"task": "multiple-choice", "prompt": "p", "choices": ["a", "b"]},
    },
}
NAMES = (
    *JOB, *(name for section in HEAD_SECTIONS.values() for name in section.model_fields), *HEAD_SECTIONS,
    "path", "0",
    "a.b", "", "error", "ID", "text", "x" * 1000, "\n", "ü", "[key]", "tensor_parallel_size", "cpus_per_rank",
)  # fmt: skip
VALUES = (
    *(value for value in JSON_VALUES if value is not None and value != "\ud800"),
    date(2026, 1, 2), datetime(2026, 1, 2, 3, 4), time(1, 2), *HEAD_SECTIONS, "zstd", "int8", "s3://", "s3://a/b",
    "**", "\x7f", "\n", "\u202e", [date(2026, 1, 2)], {"a": {"b": 1}}, [{"a": 1}], ["text", "text"], ["a", "A"],
)  # fmt: skip


class Case(NamedTuple):
    """A job file, and the arguments of `--set`."""

    content: bytes
    overrides: list[str]


def mutate(rng: random.Random) -> Case:
    """A job file with changes of its structure or bytes, or changes by `--set`."""
    kind = rng.random()
    job = mutated(rng, JOB, NAMES, VALUES) if kind < 0.7 else JOB
    content = _toml(job).encode()
    overrides = [_override(rng) for _ in range(rng.choice((1, 1, 2)))] if 0.7 <= kind < 0.85 else []
    return Case(damaged(rng, content) if kind >= 0.85 else content, overrides)


def check(case: Case) -> None:
    """Read the job, and ask each head for its columns and window."""
    path = _path()
    put(path, case.content)
    with refusals(path, "--set", errors=ConfigError):
        job = load_job_config(path, case.overrides)
    job.model_dump()
    json.loads(job.model_dump_json())
    for head in job.heads.values():
        assert all(column.path for column in head.input_columns)
        if isinstance(head, WindowedHeadSection):
            with refusals("window", "stride"):
                head.resolve_window(512)


def _override(rng: random.Random) -> str:
    section, name = (
        rng.choice((*JOB, "heads.topic", "heads.vector", "heads.new", 'heads."a.b"')),
        rng.choice(NAMES),
    )
    key = rng.choice((f"{section}.{name}", section, name, f"{section}.{name}.{name}", f"{section}.path"))
    value = rng.choice(VALUES)
    text = rng.choice((_toml_value(value), str(value), "[" * 5000, "[1, 2", '"', "{a = 1}", ""))
    argument = f"{key}={text}"
    return argument if rng.random() < 0.9 else damaged(rng, argument.encode()).decode("utf-8", "surrogateescape")


def _toml(job: Any) -> str:
    if not isinstance(job, dict):
        return f"job = {_toml_value(job)}"
    return "\n".join(f"{_quoted(name)} = {_toml_value(value)}" for name, value in job.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(name)} = {_toml_value(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, str):
        return "[" * 5000 + "]" * 5000 if value.startswith("<nested") else _quoted(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value).lower()


def _quoted(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


@cache
def _path() -> Path:
    return Path(tempfile.mkdtemp()) / "job.toml"
