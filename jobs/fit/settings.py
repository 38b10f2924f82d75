"""The settings of a fit: `FIT.toml` and `--set`."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pipeline.columns import reserved_name_problem
from pipeline.config.fields import value_at
from pipeline.config.job import ModelSection, OneOrMany, read_toml
from pipeline.config.messages import error_of, expected_value
from pipeline.config.overrides import Override, apply_overrides, parse_override, shortened, source_of
from pipeline.tasks.sections import FromList, NonEmpty, Section

FitTask = Literal["text-classification", "token-classification"]
ProblemName = Literal["single-label", "multi-label", "regression"]
TextPooling = Literal["mean", "cls", "max"]


class InputSection(Section):
    """`[input]`: labelled rows, and the columns that all heads share."""

    path: OneOrMany = Field(
        min_length=1,
        description="a Parquet file, directory or glob, or a list of these. With `features`, leave it out.",
        examples=["labelled/*.parquet"],
        default=(),
    )
    features: NonEmpty | None = Field(
        default=None,
        description="the output of an annotation job with an embedding head, whose vectors serve as features. It "
        "must have carried the label columns.",
        examples=["annotated"],
    )
    column: NonEmpty = Field(
        default="vector",
        description="the embedding head in `features`. It needs `normalize = false` and all dimensions, as these "
        "are what a head can read of the model.",
        examples=["vector"],
    )
    text: NonEmpty = Field(default="text", description="the text column", examples=["text"])
    text_pair: NonEmpty | None = Field(
        default=None, description="the column with the second text of a pair", examples=["hypothesis"]
    )
    words: NonEmpty | None = Field(
        default=None,
        description="a list column with the words of a text. token-classification reads it, and needs it.",
        examples=["tokens"],
    )
    split: NonEmpty | None = Field(
        default=None,
        description='a column that says of each row "fit", "choose", "calibrate" or "test" ("train" and '
        '"validation" are "fit" and "choose"). Without it, 70, 10, 10 and 10 percent of the groups are drawn.',
        examples=["split"],
    )
    group: NonEmpty | None = Field(
        default=None,
        description="a column whose equal values stay in one part, such as a document's id. Without it, equal "
        "texts do.",
        examples=["document"],
    )
    language: NonEmpty | None = Field(
        default=None, description="a column with the language, to report figures by", examples=["lang"]
    )
    max_fragment_rows: int = Field(
        default=2048, ge=1, description="rows of a file of features, 1 or more", examples=[2048]
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if bool(self.path) == (self.features is not None):
            raise ValueError(
                "input.path: expected this or input.features, and not both; name the Parquet files with the "
                "labels, or an output with vectors and labels"
            )
        return self


class OutputSection(Section):
    """`[output]`: where heads, report and features go."""

    path: NonEmpty = Field(
        description="a local directory. It gets a folder for each head, and `features`", examples=["fitted"]
    )

    @model_validator(mode="after")
    def _is_local(self) -> Self:
        if "://" in self.path:
            raise ValueError(
                f'output.path: found "{shortened(self.path)}", expected a local directory; copy the heads from it '
                "to where they belong"
            )
        return self


class FeatureSection(Section):
    """`[features]`: what is computed of the texts, once."""

    layers: Literal["auto"] | Annotated[tuple[int, ...], Field(min_length=1), FromList] = Field(
        default="auto",
        description='"auto" (those that do best on the probe) or a list of layers, from 0 (the embeddings) to the '
        "number of layers, or negative, counted from the end",
        examples=[[12, 24, -1]],
    )
    max_layers: int = Field(default=4, ge=1, description='the layers that "auto" keeps, 1 or more', examples=[4])
    dtype: Literal["float16", "float32"] = Field(
        default="float16",
        description='"float16" (with a scale for each dimension) or "float32"',
        examples=["float32"],
    )
    probe_rows: int = Field(
        default=20_000,
        ge=100,
        description="rows that all layers are looked at on, 100 or more. If there are no more rows, they are all "
        "that is computed, in float32.",
        examples=[20_000],
    )
    window: int | None = Field(default=None, ge=16, description="as of a head of a job", examples=[512])
    stride: int | None = Field(default=None, ge=0, description="as of a head of a job", examples=[128])
    truncate: bool = Field(default=False, description="as of a head of a job", examples=[True])


class FitHead(Section):
    """`[heads.NAME]`: a label column, and what is fitted to it."""

    task: FitTask = Field(
        default="text-classification",
        description='"text-classification" or "token-classification"',
        examples=["text-classification"],
    )
    label: NonEmpty = Field(
        description="the column with the labels: a string, integer or boolean of one right label, a list of "
        "strings of several, a floating-point number to predict; for token-classification a list of strings, one "
        "for each word",
        examples=["topic"],
    )
    problem: ProblemName | None = Field(
        default=None,
        description='"single-label", "multi-label" or "regression". Without it, the type of the column tells; '
        "integers are labels unless it says regression.",
        examples=["regression"],
    )
    pooling: TextPooling = Field(
        default="mean", description='"mean", "cls" or "max", of the states of a text', examples=["cls"]
    )
    text: NonEmpty | None = Field(default=None, description="in place of `input.text`", examples=["title"])
    text_pair: NonEmpty | None = Field(
        default=None, description="in place of `input.text_pair`", examples=["hypothesis"]
    )
    words: NonEmpty | None = Field(default=None, description="in place of `input.words`", examples=["tokens"])
    min_rows: int = Field(
        default=5,
        ge=0,
        description="rows that a label needs in each part, 0 or more. With fewer of a label the fit is refused.",
        examples=[2],
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description='"none" or "balanced" (rare labels count as much as frequent ones)',
        examples=["balanced"],
    )


def _usable_name(name: str) -> str:
    problem = reserved_name_problem(name)
    if not name.strip() or name in (".", "..", "features") or {"/", "."} & set(name):
        problem = "cannot be that of a folder beside `features`"
    if problem is not None:
        raise ValueError(problem)
    return name


class FitSettings(Section):
    """A whole fit."""

    model: ModelSection = Field(description="a table [model]")
    input: InputSection = Field(description="a table [input]")
    output: OutputSection = Field(description="a table [output]")
    features: FeatureSection = Field(default=FeatureSection(), description="a table [features]")
    heads: Annotated[dict[Annotated[str, AfterValidator(_usable_name)], FitHead], Field(min_length=1)] = Field(
        description="one table [heads.NAME] for each label column"
    )
    seed: int = Field(
        default=0, ge=0, description="of the split, the search and the resampling, 0 or more", examples=[0]
    )

    @model_validator(mode="after")
    def _words_are_named(self) -> Self:
        problems = [
            f"heads.{name}.words: is missing, expected the list column with the words, whose tags {head.label!r} "
            f'holds; add for example words = "tokens" under [input]'
            for name, head in self.heads.items()
            if head.task == "token-classification" and self.words_of(head) is None
        ]
        problems += [
            f'heads.{name}.problem: found "{head.problem}", expected none for token-classification, whose words '
            "have one label each; remove it"
            for name, head in self.heads.items()
            if head.task == "token-classification" and head.problem not in (None, "single-label")
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def words_of(self, head: FitHead) -> str | None:
        """The column with the words that a head reads; None for a head that reads texts."""
        return (head.words or self.input.words) if head.task == "token-classification" else None


def load_settings(path: Path, overrides: Sequence[str] = ()) -> FitSettings:
    """Read `FIT.toml`, and apply `key.path=value` overrides.

    Raises ConfigError, which names all invalid fields.
    """
    data = read_toml(path)
    parsed = [parse_override(override) for override in overrides]
    apply_overrides(data, parsed, FitSettings)
    try:
        return FitSettings.model_validate(data)
    except ValidationError as error:
        by_key = {override.key: override for override in parsed}
        lines = [line for details in error.errors() for line in _problems(details, data, by_key)]
        raise error_of(str(path), list(dict.fromkeys(lines))) from None


def _problems(details: ErrorDetails, data: Mapping[str, Any], overrides: Mapping[str, Override]) -> list[str]:
    """One of Pydantic's errors as lines `key: problem`."""
    if details["type"] == "value_error" and not (details["loc"] and details["loc"][-1] == "[key]"):
        return str(details["ctx"]["error"]).split("\n")
    depth = 3 if details["loc"][0] == "heads" else 2
    keys = [str(part) for part in details["loc"][:depth]]
    key = f"{shortened('.'.join(keys))}{source_of('.'.join(keys), overrides)}"
    if details["loc"][-1] == "[key]":
        return [f"heads.{keys[1]}: the name of a head {details['ctx']['error']}; rename the head"]
    if details["type"] == "extra_forbidden":
        known = list(_section(keys[:-1]).model_fields)
        nearest = get_close_matches(keys[-1], known, n=1)
        guess = f"did you mean {nearest[0]!r}? " if nearest else ""
        return [f"{key}: unknown key; {guess}Known keys: {', '.join(known)}"]
    found = value_at(data, keys)
    if keys == ["heads"] or (keys[0] == "heads" and len(keys) == 2):
        return [f"{key}: expected a table [heads.NAME] for each label column; add one, with its label"]
    field = _section(keys[:-1]).model_fields[keys[-1]]
    state = "is missing" if details["type"] == "missing" else f"found {shortened(json.dumps(found, default=str))}"
    example = f"; write for example {keys[-1]} = {json.dumps(field.examples[0])}" if field.examples else ""
    return [f"{key}: {state}, expected {expected_value(field)}{example}"]


def _section(keys: Sequence[str]) -> type[BaseModel]:
    """The class of the table at some keys."""
    if not keys:
        return FitSettings
    if keys[0] == "heads":
        return FitHead
    annotation = FitSettings.model_fields[keys[0]].annotation
    assert isinstance(annotation, type)
    assert issubclass(annotation, BaseModel)
    return annotation


def shown_settings() -> str:
    """All settings with what they take, one a line."""
    own: dict[str, type[Section]] = {
        "input": InputSection,
        "output": OutputSection,
        "features": FeatureSection,
        "heads.NAME": FitHead,
    }
    lines = [f"[model]  as in a job file: {', '.join(ModelSection.model_fields)}"]
    for table, section in own.items():
        lines.append(f"[{table}]")
        lines += [f"  {name}: {expected_value(field)}" for name, field in section.model_fields.items()]
    return "\n".join([*lines, f"seed: {expected_value(FitSettings.model_fields['seed'])}"])


def columns_of(settings: FitSettings) -> list[str]:
    """The columns that are carried to the features: labels, split, group and language, each once."""
    shared = (settings.input.split, settings.input.group, settings.input.language)
    labels = (head.label for head in settings.heads.values())
    return list(dict.fromkeys(column for column in (*shared, *labels) if column is not None))
