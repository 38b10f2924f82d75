"""The configuration of a job, read from a TOML file and validated with Pydantic."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator

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


DEFAULT_FRAGMENT_ROWS = 2048
OneOrMany = Annotated[
    tuple[NonEmpty, ...],
    BeforeValidator(_one_or_many),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]
"""A string, or a list of strings."""


class ModelSection(Section):
    """`[model]`: the model, and how it is distributed over devices."""

    path: NonEmpty = Field(
        description="a model directory in Hugging Face layout, or a hub id. It holds the trunk and the tokenizer; "
        "a hub id needs the extra `hub`.",
        examples=["models/xlm-roberta-xl"],
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8", "float8"] = Field(
        default="auto",
        description='"auto", "float32", "bfloat16", "float16", or, for the products of the layers alone, "int8" '
        '(CPU) or "float8" (GPU). "auto" is "bfloat16" on GPUs; on CPUs it is the dtype of the checkpoint, or '
        '"bfloat16" for one in float16. "int8" needs AVX-512 VNNI, "float8" compute capability 8.9 or more; what '
        "is not a product of the layers is then in bfloat16.",
        examples=["bfloat16"],
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description='"auto", "cpu" or "cuda". "auto" is "cuda" if the cluster has GPUs.',
        examples=["cuda"],
    )
    tensor_parallel_size: int = Field(
        default=1,
        ge=1,
        description="the number of ranks of a shard group, 1 or more. The ranks hold one copy of the weights "
        "together, each a slice of it, and are all on one node.",
        examples=[2],
    )
    replicas: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=1,
        description='the number of shard groups, 1 or more, or "auto". "auto" is as many as there is room for '
        "when the run starts; with a number it waits for room. There are never more of them than fragments, or "
        "than the cluster would hold if nobody else used it, unless an autoscaler may add nodes.",
        examples=["auto"],
    )
    token_budget: Annotated[int, Field(ge=512)] | Literal["auto"] = Field(
        default="auto",
        description='the tokens per batch, 512 or more, or "auto" (as many as fit on a GPU; 8192 on CPUs). On '
        'GPUs "auto" is at most 32768, and is decided once, when the output is begun.',
        examples=[8192],
    )
    cpus_per_rank: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="the CPU cores of one rank, 1 or more. Without it, ranks on CPUs share the cores of their "
        "node, and a rank on a GPU has one.",
        examples=[2],
    )
    placement: Literal["spread", "pack"] = Field(
        default="spread",
        description='"spread" or "pack". "spread" puts each shard group on the node with the fewest of them, so '
        'that the loss of a node concerns few; "pack" fills one node after another, so that others stay free.',
        examples=["pack"],
    )
    placement_timeout_s: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="the seconds to wait for room on the cluster, above 0. Without it a run waits as long as it "
        "takes on a cluster that it joins, and a minute on one of its own.",
        examples=[600],
    )
    stall_timeout_s: float = Field(
        default=1800.0,
        gt=0,
        allow_inf_nan=False,
        description="the seconds without any progress after which the run is ended, above 0. The stacks of all of "
        "its processes are printed then.",
        examples=[1800],
    )


class InputSection(Section):
    """`[input]`: files, their columns, and how they are cut into fragments."""

    path: OneOrMany = Field(
        min_length=1,
        description="a file, directory or glob (local, s3://, gs://), or a list of these. A directory is searched "
        "for `*.parquet` at any depth.",
        examples=["corpus/**/*.parquet"],
    )
    hive: Literal["auto"] | bool = Field(
        default="auto",
        description='"auto" (folders KEY=VALUE are columns that can be named, and are folders of the output too), '
        "true (all of them are also written as columns of every part) or false (they are plain folders)",
        examples=[True],
    )
    text: NonEmpty = Field(
        default="text",
        description="the name or dotted path of the text column. Heads that read one text read this one unless "
        "they name their own.",
        examples=["doc.body"],
    )
    route: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of the column that says which heads a row wants. It holds the name "
        "of a head or a list of names; null means all heads. Without it, each row gets all heads.",
        examples=["heads"],
    )
    columns: OneOrMany | None = Field(
        default=None,
        description="a list of names or dotted paths of columns to carry to the output. Without it, all columns "
        "are carried.",
        examples=[["id", "lang"]],
    )
    max_fragment_rows: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=DEFAULT_FRAGMENT_ROWS,
        description='rows per fragment, 1 or more, or "auto". This is the most; a part of the output has the rows '
        'of one fragment. "auto" is 2048 for up to 16 replicas, 4096 for up to 32, and so on up to 32768, and '
        "max_fragment_bytes grows likewise; it is decided once, when the output is begun.",
        examples=[2048],
    )
    max_fragment_bytes: int = Field(
        default=8 * 2**20,
        ge=1,
        description="uncompressed bytes per fragment of the columns read, 1 or more. This is the most, unless "
        "one row has more. Repeated values count once, unless a fragment would be over 8 times as large when "
        "they are decoded.",
        examples=[8 * 2**20],
    )


class OutputSection(Section):
    """`[output]`: where parts are written."""

    path: NonEmpty = Field(
        description="a directory (local, s3://, gs://). It is made if it is not there, and must not hold Parquet "
        "files of anything else.",
        examples=["annotated"],
    )
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = Field(
        default="zstd",
        description='"zstd", "snappy", "gzip", "lz4" or "none". This is the compression of the parts.',
        examples=["snappy"],
    )
    lease_timeout_s: float = Field(
        default=120.0,
        gt=0,
        allow_inf_nan=False,
        description="the seconds without a sign of life after which another run may take over, above 0. A run on "
        "the same machine is known to have ended as soon as its process is gone.",
        examples=[120],
    )


class RunSection(Section):
    """`[run]`: what is known about the runs of a job; changes no value."""

    cost_per_hour: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="the price of the whole cluster per hour, in any currency, above 0. Without it no cost is "
        "estimated.",
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
