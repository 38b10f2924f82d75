"""What is to be evaluated: a TOML file, the options of the command line and `--set`, validated as one."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from pipeline.config.job import read_toml
from pipeline.config.overrides import parse_override
from pipeline.errors import ConfigError
from pipeline.tasks.sections import NonEmpty, Section, as_tuple

Names = Annotated[tuple[NonEmpty, ...], Field(min_length=1), BeforeValidator(as_tuple)]
AS_GIVEN = "as-given"
Labels = dict[str, str] | Literal["as-given"]
"""The benchmark's names of the head's labels, by the benchmark's name."""


class TaskSettings(Section):
    """`[tasks.NAME]`: the checkpoint of one task of a benchmark that has several."""

    model: NonEmpty | None = None
    head: NonEmpty | None = None
    labels: Labels | None = None


class OwnData(Section):
    """`[own]`: data of one's own, and which of its columns hold what.

    `gold` is the column with the right answers, `by` one whose values are scored apart, such as the language. For
    mt-quality, `gold` has the judgements, `language_pair` takes the place of `by`, and `system` and `segment` say
    who translated what.
    """

    gold: NonEmpty | None = None
    by: NonEmpty | None = None
    language_pair: NonEmpty | None = None
    system: NonEmpty | None = None
    segment: NonEmpty | None = None
    columns: dict[str, NonEmpty | Names] = Field(default_factory=dict)


class EvaluationSettings(Section):
    """All settings. `model`, `input`, `output` and `head` are as in a job file."""

    benchmark: NonEmpty
    data: NonEmpty | None = None
    split: NonEmpty | None = None
    languages: Names | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    labels: Labels | None = None
    own: OwnData = OwnData()
    tasks: dict[str, TaskSettings] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    input: dict[str, Any] = Field(default_factory=dict)
    output: dict[str, Any] = Field(default_factory=dict)
    head: dict[str, Any] = Field(default_factory=dict)

    def of_task(self, name: str) -> TaskSettings:
        """The checkpoint and labels of a task: its own, or those of all tasks."""
        own = self.tasks.get(name, TaskSettings())
        return TaskSettings(
            model=own.model or self.model.get("path"),
            head=own.head or self.head.get("weights"),
            labels=self.labels if own.labels is None else own.labels,
        )


_EXPECTED = {
    "limit": "a number of rows, 1 or more",
    "seed": "an integer, 0 or more",
    "languages": "a list of one or more names",
    "labels": 'a table of NAME = "LABEL_n", or "as-given"',
    "columns": "a table of ROLE = COLUMN",
    "tasks": "a table for each task, such as [tasks.mnli]",
}
_TABLES = ("own", "model", "input", "output", "head")
_MAX_SHOWN_CHARS = 80
# What Pydantic adds to the keys of a value that may be one of several types.
_OF_UNION = re.compile(r"\w[\w-]*\[|constrained-str$|str$")


def load_settings(file: Path | None, options: Mapping[str, Any], overrides: Sequence[str]) -> EvaluationSettings:
    """The settings of a file, with those of the command line in place of its own.

    `options` by name of the setting, those that were not given left out. Raises ConfigError.
    """
    data: dict[str, Any] = {} if file is None else read_toml(file)
    _merge(data, options)
    for override in map(parse_override, overrides):
        nested: Any = _value(override.text)
        for name in reversed(override.keys):
            nested = {name: nested}
        _merge(data, nested)
    output = data.setdefault("output", {})
    if isinstance(output, dict):
        output.setdefault("path", f"evaluated/{str(data.get('benchmark', '')).replace('/', '-')}")
    try:
        settings = EvaluationSettings.model_validate(data)
    except ValidationError as error:
        problems = dict(map(_problem, error.errors()))
        # Of a value that may be one of several types, the problem that lies deepest.
        inner = [key for key in problems if not any(other.startswith(f"{key}.") for other in problems)]
        raise ConfigError("\n  ".join(f"{key}: {problems[key]}" for key in inner)) from None
    # The other settings of these tables are checked with the annotation job.
    for table, key in (("model", "path"), ("head", "weights"), ("output", "path")):
        value = getattr(settings, table).get(key, ".")
        if not isinstance(value, str) or not value:
            raise ConfigError(
                f"{table}.{key}: found {value!r}, expected a path or URI; write it in quotes, as in "
                f"--set '{table}.{key}=\"…\"'"
            )
    return settings


def _merge(data: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put `more` into `data`, table by table."""
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(data.get(name), dict):
            _merge(data[name], value)
        else:
            data[name] = dict(value) if isinstance(value, Mapping) else value


def _value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _problem(details: Any) -> tuple[str, str]:
    """One of Pydantic's errors as a dotted key and what is wrong with its value."""
    names = [str(part) for part in details["loc"] if not _OF_UNION.match(str(part))]
    key, last = ".".join(names), names[-1]
    if details["type"] == "extra_forbidden":
        sections: dict[str, type[Section]] = {"own": OwnData, "tasks": TaskSettings}
        known = ", ".join(sections.get(names[0], EvaluationSettings).model_fields)
        return key, f"found an unknown setting, expected one of {known}; correct its name"
    if details["type"] == "missing":
        return key, "is missing, expected a name; write it on the command line, or in the file"
    of_key = next((_EXPECTED[name] for name in reversed(names) if name in _EXPECTED), "a name")
    expected = f"a table [{key}]" if last in _TABLES else of_key
    found = repr(details["input"])
    shown = f"{found[:_MAX_SHOWN_CHARS]}…" if len(found) > _MAX_SHOWN_CHARS else found
    return key, f"found {shown}, expected {expected}; correct it"
