"""The configuration of a job, read from a TOML file and validated with Pydantic."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from pipeline.columns import CASE_IS_FOLDED, equal_but_for_case, reserved_name_problem
from pipeline.config.expanded_paths import expand_paths
from pipeline.config.fields import value_at
from pipeline.config.messages import config_error
from pipeline.config.overrides import apply_overrides, parse_override
from pipeline.errors import ConfigError
from pipeline.tasks.all_tasks import HEAD_SECTIONS, TASKS, HeadConfig
from pipeline.tasks.sections import NonEmpty, Section, as_tuple


def _one_or_many(value: object) -> object:
    """A single string as a tuple of one; lists as tuples."""
    return (value,) if isinstance(value, str) else as_tuple(value)


def _usable_head_name(name: str) -> str:
    problem = reserved_name_problem(name)
    if not name.strip():
        problem = "is empty"
    elif "." in name:
        problem = "holds a dot, which keys and column paths are split at"
    if problem is not None:
        raise ValueError(problem)
    return name


class ModelSection(Section):
    """`[model]`: the model, and how it is distributed over devices."""

    path: NonEmpty = Field(
        description="a model directory in Hugging Face layout, or a hub id", examples=["models/xlm-roberta-xl"]
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8", "float8"] = Field(
        default="auto",
        description='"auto", "float32", "bfloat16", "float16", or, for the products of the layers alone, '
        '"int8" (CPU) or "float8" (GPU)',
        examples=["auto"],
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description='"auto", "cpu" or "cuda"', examples=["auto"]
    )
    tensor_parallel_size: int = Field(
        default=1, ge=1, description="the number of ranks of a shard group, 1 or more", examples=[1]
    )
    replicas: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=1, description='the number of shard groups, 1 or more, or "auto"', examples=["auto"]
    )
    token_budget: Annotated[int, Field(ge=512)] | Literal["auto"] = Field(
        default="auto",
        description='the tokens per batch, 512 or more, or "auto" (as many as fit on a GPU; 8192 on CPUs)',
        examples=[8192],
    )
    cpus_per_rank: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="the CPU cores of one rank, 1 or more", examples=[2]
    )
    stall_timeout_s: float = Field(
        default=1800.0,
        gt=0,
        allow_inf_nan=False,
        description="the seconds without any progress after which the run is ended, above 0",
        examples=[1800],
    )


class InputSection(Section):
    """`[input]`: files, their columns, and how they are cut into fragments."""

    path: Annotated[tuple[NonEmpty, ...], Field(min_length=1), BeforeValidator(_one_or_many)] = Field(
        description="a file, directory or glob (local, s3://, gs://), or a list of these",
        examples=["corpus/**/*.parquet"],
    )
    hive: Literal["auto"] | bool = Field(
        default="auto",
        description='"auto" (folders KEY=VALUE are columns that can be named, and are folders of the output too), '
        "true (all of them are also written as columns of every part) or false (they are plain folders)",
        examples=["auto"],
    )
    text: NonEmpty = Field(
        default="text", description="the name or dotted path of the text column", examples=["text"]
    )
    route: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of the column that says which heads a row wants",
        examples=["heads"],
    )
    columns: Annotated[tuple[NonEmpty, ...], BeforeValidator(_one_or_many)] | None = Field(
        default=None,
        description="a list of names or dotted paths of columns to carry to the output",
        examples=[["id", "lang"]],
    )
    max_fragment_rows: int = Field(default=2048, ge=1, description="rows per fragment, 1 or more", examples=[2048])
    max_fragment_bytes: int = Field(
        default=8 * 2**20,
        ge=1,
        description="uncompressed bytes per fragment of the columns read, 1 or more",
        examples=[8 * 2**20],
    )


class OutputSection(Section):
    """`[output]`: where parts are written."""

    path: NonEmpty = Field(description="a directory (local, s3://, gs://)", examples=["annotated"])
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = Field(
        default="zstd", description='"zstd", "snappy", "gzip", "lz4" or "none"', examples=["zstd"]
    )
    lease_timeout_s: float = Field(
        default=120.0,
        gt=0,
        allow_inf_nan=False,
        description="the seconds without a sign of life after which another run may take over, above 0",
        examples=[120],
    )


class RunSection(Section):
    """`[run]`: what is known about the runs of a job; changes no value."""

    cost_per_hour: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="the price of the whole cluster per hour, in any currency, above 0",
        examples=[12.5],
    )


class JobConfig(Section):
    """A whole job. The order of heads in the file is the order of their columns."""

    model: ModelSection = Field(description="a table [model]")
    input: InputSection = Field(description="a table [input]")
    output: OutputSection = Field(description="a table [output]")
    run: RunSection = Field(default=RunSection(), description="a table [run]")
    heads: Annotated[dict[Annotated[str, AfterValidator(_usable_head_name)], HeadConfig], Field(min_length=1)] = (
        Field(description="one table [heads.NAME] for each head, at least one")
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_heads(cls, data: Any) -> Any:
        """Fill in the defaults of each head's `weights` and `text`."""
        if not isinstance(data, dict) or not isinstance(data.get("heads"), dict):
            return data
        path, text = (value_at(data, keys) for keys in (("model", "path"), ("input", "text")))
        heads = {
            name: _with_defaults(head, path, text) if isinstance(head, dict) else head
            for name, head in data["heads"].items()
        }
        return {**data, "heads": heads}

    @model_validator(mode="after")
    def _columns_do_not_clash(self) -> Self:
        columns = self.input.columns or ()
        problems = [
            f"input.columns: {name!r} {problem}; rename it in the input, or leave it out"
            for name in columns
            if (problem := reserved_name_problem(name)) is not None
        ]
        problems += [
            f"input.columns: {name!r} is listed twice; list it once"
            for name in dict.fromkeys(columns)
            if columns.count(name) > 1
        ]
        problems += [
            f"heads.{name}: its column would have the name of a carried column; rename the head, "
            f"or leave {name!r} out of input.columns"
            for name in self.heads
            if name in columns
        ]
        for earlier, name in equal_but_for_case([*columns, *self.heads]):
            key, remedy = f"heads.{name}", "rename the head"
            if name not in self.heads:
                key, remedy = "input.columns", "rename one in the input, or leave it out"
            problems.append(f"{key}: {name!r} differs only in case from {earlier!r}; {CASE_IS_FOLDED}; {remedy}")
        return self._unless(problems)

    @model_validator(mode="after")
    def _generation_is_not_quantized(self) -> Self:
        problems = [
            f"heads.{name}: found model.dtype = {self.model.dtype!r}, in which nothing is generated; use "
            'model.dtype = "bfloat16", or generate in a job of its own'
            for name, head in self.heads.items()
            if TASKS[head.task].generates and self.model.dtype in ("int8", "float8")
        ]
        return self._unless(problems)

    def _unless(self, problems: list[str]) -> Self:
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load_job_config(path: Path, overrides: Sequence[str] = ()) -> JobConfig:
    """Read a job file, apply `key.path=value` overrides, expand `~` and `$NAME` in paths, and validate the result.

    Raises ConfigError, which names all invalid fields.
    """
    data = read_toml(path)
    parsed = [parse_override(override) for override in overrides]
    apply_overrides(data, parsed, JobConfig)
    by_key = {override.key: override for override in parsed}
    try:
        JobConfig.model_validate(data)
    except ValidationError as error:
        raise config_error(str(path), error, data, JobConfig, by_key) from None
    expand_paths(data, os.environ, str(path), by_key)
    return JobConfig.model_validate(data)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises ConfigError."""
    try:
        # Some editors write a byte order mark.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: the job file cannot be read: {error.strerror}; check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not a TOML file: expected UTF-8, found other bytes from {error.start} on; save it as UTF-8"
        ) from None
    except RecursionError:
        raise ConfigError(f"{path}: not a TOML file: nested too deeply; correct it there") from None
    # Errors of TOML, and of integers with too many digits.
    except ValueError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}; correct it there") from None


def _with_defaults(head: dict[str, Any], model_path: object, text: object) -> dict[str, Any]:
    """The options of a head with `weights`, and with `text` if its task reads one."""
    defaults = {}
    trunk, task = head.get("trunk"), head.get("task")
    weights = trunk if isinstance(trunk, str) and trunk else model_path
    if isinstance(weights, str) and weights:
        defaults["weights"] = weights
    section = HEAD_SECTIONS.get(task) if isinstance(task, str) else None
    if section is not None and "text" in section.model_fields and "words" not in head:
        defaults["text"] = text if isinstance(text, str) and text else "text"
    return {**defaults, **head}
