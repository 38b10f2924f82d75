"""The annotation of one task: prepared examples through the pipeline, with one head, named `prediction`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import ValidationError

from jobs.evaluate.examples import SCHEMAS, BenchmarkTask, Kind
from jobs.evaluate.folder import EvaluationFolder, inputs_path
from jobs.evaluate.settings import EvaluationSettings
from pipeline.config.job import JobConfig
from pipeline.config.messages import config_error
from pipeline.errors import ConfigError
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.storage.printable import number_of

if TYPE_CHECKING:
    from pipeline.driver.prepared_run import PreparedRun

PREDICTION = "prediction"
"""The head, and so the column of the output."""

# What is read by which task of the pipeline; also `_OPTIONAL_TEXTS`, where examples have them.
_HEADS: Mapping[Kind, Mapping[str, Any]] = {
    "classification": {"task": "text-classification", "text": "text"},
    "multi-label": {"task": "text-classification", "text": "text"},
    "regression": {"task": "text-classification", "text": "text"},
    "multiple-choice": {"task": "multiple-choice", "prompt": "prompt", "choices": "choices"},
    "question-answering": {
        "task": "question-answering",
        "question": "question",
        "context": "context",
        "window": 384,
        "stride": 128,
        "max_answer_tokens": 30,
    },
    "words": {"task": "token-classification", "words": "words"},
    "translation-quality": {"task": "translation-quality", "source": "source", "translation": "translation"},
}
_OPTIONAL_TEXTS = ("text_pair", "reference")
_OPEN_OF_HEAD = {"window", "stride", "max_answer_tokens"}
_OPEN_OF_INPUT = {"max_fragment_rows", "max_fragment_bytes"}
_PROBLEM_TYPES: Mapping[Kind, str] = {
    "classification": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": "regression",
}


@dataclass(frozen=True)
class TaskPlan:
    """A task and its examples by subset; `model` has the trunk and the tokenizer, `head` the head's weights."""

    task: BenchmarkTask
    split: str
    examples: Mapping[str, pa.Table]
    missing: tuple[str, ...]
    model: str
    head: str


def annotation_job(plan: TaskPlan, settings: EvaluationSettings, folder: EvaluationFolder) -> JobConfig:
    """The job that annotates a task's examples. Raises ConfigError for settings that it does not take."""
    name = plan.task.name
    _require_open(settings, plan.task.kind)
    head: dict[str, Any] = {**_HEADS[plan.task.kind]}
    head |= {
        column: column
        for column in _OPTIONAL_TEXTS
        if column in SCHEMAS[plan.task.kind].names
        and any(table[column].null_count < table.num_rows for table in plan.examples.values())
    }
    data = {
        "model": {**settings.model, "path": plan.model},
        "input": {
            **settings.input,
            "path": [folder.path_below(inputs_path(name, subset)) for subset in plan.examples],
        },
        "output": {**settings.output, "path": folder.path_below(name)},
        "heads": {PREDICTION: {**head, **settings.head, "weights": plan.head}},
    }
    try:
        return JobConfig.model_validate(data)
    except ValidationError as error:
        raise in_words_of_the_command(config_error(name, error, data, JobConfig, {})) from None


def _require_open(settings: EvaluationSettings, kind: Kind) -> None:
    """Raise ConfigError for settings that the evaluation makes by itself."""
    own = {*_HEADS[kind], *_OPTIONAL_TEXTS} - _OPEN_OF_HEAD
    for name in sorted(settings.head.keys() & own):
        raise ConfigError(f"head.{name}: found a setting that the evaluation makes by itself; leave it out")
    for name in sorted(settings.input.keys() - _OPEN_OF_INPUT):
        raise ConfigError(
            f"input.{name}: found a setting that the evaluation makes by itself, expected one of "
            f"{', '.join(sorted(_OPEN_OF_INPUT))}; leave it out"
        )


def in_words_of_the_command(error: ConfigError) -> ConfigError:
    """The error with the names that settings have here: the job's one head is `head`."""
    return ConfigError(
        str(error).replace(f"[heads.{PREDICTION}]", "[head]").replace(f"heads.{PREDICTION}", "head")
    )


def head_labels(job: JobConfig, plan: TaskPlan) -> list[str]:
    """The labels of the job's head by class id.

    Raises ConfigError where its configuration cannot be read, or says that it predicts another kind of thing.
    """
    # Imported late: torch takes seconds to load.
    from pipeline.config.local_models import with_local_models  # noqa: PLC0415
    from pipeline.heads.resolve import read_config  # noqa: PLC0415
    from pipeline.tasks.contract import class_labels  # noqa: PLC0415
    from pipeline.tasks.text_classification import problem_type  # noqa: PLC0415

    options = with_local_models(job).heads[PREDICTION]
    config = read_config(options.weights, "model.path" if plan.head == plan.model else "head.weights")
    expected = _PROBLEM_TYPES.get(plan.task.kind)
    if expected is not None and problem_type(config) != expected:
        raise ConfigError(
            f"head.weights: {plan.head} is for {problem_type(config)} ({config.num_labels} labels), expected "
            f"{expected}, as {plan.task.name} is; name a head that was fine-tuned for it, or correct problem_type "
            "in its config.json"
        )
    return class_labels(config)


def prepare(job: JobConfig, messages: Messages) -> "PreparedRun":
    """Check a job whose examples are written, without Ray. Raises ConfigError or InputError."""
    from pipeline.driver.prepared_run import RunOptions, prepare_run  # noqa: PLC0415

    try:
        return prepare_run(job, RunOptions(), messages)
    except ConfigError as error:
        raise in_words_of_the_command(error) from None


def annotate(prepared: "PreparedRun", address: str, messages: Messages) -> int:
    """Annotate what is not annotated yet; returns the exit code of the annotation.

    Raises PipelineErrors where it ends early.
    """
    from jobs.annotate.exit_report import report_failures  # noqa: PLC0415
    from pipeline.driver.run import execute_run  # noqa: PLC0415

    result = execute_run(prepared, address, messages, Phases(messages))
    if result.counts is not None:
        messages(
            f"annotated: {number_of(result.counts.num_rows, 'row')}, {result.counts.num_errors:,} with errors, "
            f"{number_of(result.counts.num_tokens, 'token')} in {result.seconds:.1f} s"
        )
    name, origins = prepared.output_name, result.origins
    return report_failures(prepared.plan.failed_files, result.failures, name, messages.error, origins)


def shown_options(job: JobConfig) -> dict[str, str]:
    """The options of the head and the model that change values, as text."""
    head = job.heads[PREDICTION].model_dump(mode="json", exclude={"weights", "trunk"})
    model = {"dtype": job.model.dtype, "tensor_parallel_size": job.model.tensor_parallel_size}
    return {name: str(value) for name, value in {**model, **head}.items() if value is not None}
