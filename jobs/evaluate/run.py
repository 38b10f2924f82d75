"""Evaluate: read the benchmark, check heads and labels, write the examples, annotate, and record what was done."""

import os
from collections.abc import Sequence
from typing import get_args

from jobs.annotate.submission import refuse_lost_output
from jobs.evaluate.annotation import TaskPlan, annotate, annotation_job, head_labels, prepare, shown_options
from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.benchmarks.mt_quality import MT_QUALITY, JudgedColumns, mt_quality_task
from jobs.evaluate.benchmarks.own_data import OwnColumns, OwnTask, own_splits, own_task
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import choose_split
from jobs.evaluate.examples import GOLD, BenchmarkTask
from jobs.evaluate.folder import FORMAT, EvaluationFolder, EvaluationRecord, SubsetRecord, TaskRecord
from jobs.evaluate.labels import LABELLED, join_labels, labels_option, require_labels, require_names_of_golds
from jobs.evaluate.settings import AS_GIVEN, EvaluationSettings
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError, InputError
from pipeline.monitoring.messages import Messages
from pipeline.storage.filesystem_uris import without_secret

OWN_TASKS = get_args(OwnTask)
"""Tasks of the pipeline that data of one's own can be evaluated on, in place of a benchmark."""
_OF_TRANSLATIONS = {"language_pair", "system", "segment"}
_ROLES = ("text", "text_pair", "words", "prompt", "choices", "question", "context", "id")


def evaluate(settings: EvaluationSettings, command: str, address: str) -> int:
    """Annotate the examples of a benchmark; returns the exit code, 3 where some of it failed.

    Everything that can be refused is refused before any work, with ConfigError or InputError.
    """
    messages = Messages()
    folder = EvaluationFolder.open(settings.output["path"])
    refuse_lost_output(folder.path, os.environ)
    plans = plan_tasks(settings, messages)
    jobs = [annotation_job(plan, settings, folder) for plan in plans]
    names = [plan.task.name for plan in plans]
    labels = [
        labels_of(plan, job, settings, labels_option(plan.task.name, names))
        for plan, job in zip(plans, jobs, strict=True)
    ]
    tasks = _recorded_tasks(folder, settings.benchmark)
    subsets = [_write_examples(folder, plan) for plan in plans]
    prepared = [prepare(job, messages) for job in jobs]
    reachable = _cluster(address)
    code = 0
    for plan, job, joined, examples, run in zip(plans, jobs, labels, subsets, prepared, strict=True):
        code = max(code, annotate(run, reachable, messages))
        as_given = settings.of_task(plan.task.name).labels == AS_GIVEN
        tasks[plan.task.name] = TaskRecord(
            kind=plan.task.kind,
            metrics=plan.task.metrics,
            rules=plan.task.rules,
            split=plan.split,
            limit=settings.limit,
            model=without_secret(plan.model),
            head=without_secret(plan.head),
            labels=joined,
            labels_as_given=as_given,
            subsets=examples,
            missing=plan.missing,
            options=shown_options(job),
            identity=dict(run.identity),
        )
        folder.write_record(EvaluationRecord(FORMAT, settings.benchmark, command, tasks))
    return code


def plan_tasks(settings: EvaluationSettings, messages: Messages) -> list[TaskPlan]:
    """Read the examples of each task that has a model. Raises ConfigError or InputError."""
    if settings.data is None:
        raise ConfigError("--data: is missing, expected the folder with the benchmark's Parquet files; add it")
    files = DataFiles.open(settings.data)
    tasks = find_tasks(settings, files)
    checkpoints = {task.name: _checkpoint(task, settings) for task in tasks}
    for name in settings.tasks:
        if name not in checkpoints:
            raise ConfigError(
                f"tasks.{name}: found a task that {settings.benchmark} does not have, expected one of "
                f"{', '.join(checkpoints)}; correct its name"
            )
    named = [(task, found) for task in tasks if (found := checkpoints[task.name]) is not None]
    if not named:
        example = f"--model {tasks[0].name}=DIR" if len(tasks) > 1 else "--model DIR"
        raise ConfigError(f"--model: is missing, expected the directory of a checkpoint; add {example}")
    without = [task.name for task in tasks if checkpoints[task.name] is None]
    if without:
        messages(f"not evaluated, as no model is named for them: {', '.join(without)}")
    plans = []
    for task, checkpoint in named:
        if len(tasks) > 1 and _is_extra(task, files, settings):
            messages(f"{task.name}: not evaluated, as its files are not there")
        else:
            plans.append(_plan(task, files, settings, messages, *checkpoint))
    return plans


def _is_extra(task: BenchmarkTask, files: DataFiles, settings: EvaluationSettings) -> bool:
    """Whether a task has another's head, is not asked for by its name, and its files are not there."""
    splits = task.default_splits if settings.split is None else (settings.split,)
    is_meant = task.uses_head_of is None or task.name in settings.tasks
    return not is_meant and not set(splits) & set(task.splits(files))


def find_tasks(settings: EvaluationSettings, files: DataFiles) -> Sequence[BenchmarkTask]:
    """The tasks of a benchmark by its name: all, or the one after the slash. Raises ConfigError."""
    name, _, part = settings.benchmark.partition("/")
    if settings.benchmark == MT_QUALITY:
        return [_mt_quality_task(files, settings)]
    if settings.benchmark in OWN_TASKS:
        return [_own_task(name, files, settings)]
    if name not in BENCHMARKS:
        known = ", ".join([*BENCHMARKS, *OWN_TASKS, MT_QUALITY])
        raise ConfigError(f"BENCHMARK: found {settings.benchmark!r}, expected one of {known}; correct it")
    for option in settings.own.model_fields_set:
        raise _misplaced(option, name, [*OWN_TASKS, MT_QUALITY])
    tasks = [task for task in BENCHMARKS[name].tasks if not part or task.name == part]
    if not tasks:
        known = ", ".join(task.name for task in BENCHMARKS[name].tasks)
        raise ConfigError(
            f"BENCHMARK: found {settings.benchmark!r}, expected a task of {name}: {known}; correct it"
        )
    return tasks


def _own_task(name: str, files: DataFiles, settings: EvaluationSettings) -> BenchmarkTask:
    """The task of data of one's own, by the columns that are named."""
    own = settings.own
    for option in _OF_TRANSLATIONS & own.model_fields_set:
        raise _misplaced(option, name, [MT_QUALITY])
    task = next(task for task in OWN_TASKS if task == name)
    columns = OwnColumns(task, _gold(name, settings), own.columns, own.by, dict.fromkeys(_ROLES, "--columns"))
    return own_task(files, columns, _own_split(files, settings))


def _mt_quality_task(files: DataFiles, settings: EvaluationSettings) -> BenchmarkTask:
    """The task of judged translations, by the columns that are named."""
    own = settings.own
    if own.by is not None:
        raise ConfigError(
            f"--by: found beside {MT_QUALITY}, expected --language-pair in its place; rename it, or leave it out"
        )
    columns = {}
    for role, column in own.columns.items():
        if not isinstance(column, str):
            raise ConfigError(f"--columns: found several columns for {role}, expected one; name one")
        columns[role] = column
    gold = _gold(MT_QUALITY, settings)
    judged = JudgedColumns(gold, columns, own.language_pair, own.system, own.segment)
    return mt_quality_task(files, judged, _own_split(files, settings))


def _gold(name: str, settings: EvaluationSettings) -> str:
    if settings.own.gold is None:
        raise ConfigError(f"--gold: is missing, expected the column with the right answers, for {name}; name it")
    return settings.own.gold


def _own_split(files: DataFiles, settings: EvaluationSettings) -> str:
    """The split that is named, or test or validation, or the first that is there."""
    there = own_splits(files)
    return settings.split or next((split for split in ("test", "validation") if split in there), there[0])


def _misplaced(option: str, name: str, expected: Sequence[str]) -> ConfigError:
    """An option of other benchmarks."""
    return ConfigError(
        f"--{option.replace('_', '-')}: found beside the benchmark {name}, expected beside {_one_of(expected)}; "
        "leave it out"
    )


def _one_of(names: Sequence[str]) -> str:
    return f"one of {', '.join(names)}" if len(names) > 1 else names[0]


def labels_of(plan: TaskPlan, job: JobConfig, settings: EvaluationSettings, option: str) -> dict[str, str]:
    """The benchmark's names of the head's labels, by these; empty for tasks without. Raises ConfigError.

    `option` is the setting for them, for messages.
    """
    found = head_labels(job, plan)
    given = settings.of_task(plan.task.name).labels
    pairs = given if isinstance(given, dict) else None
    if pairs is not None:
        require_labels(plan.task.kind, option)
    if plan.task.kind not in LABELLED:
        return {}
    joined = join_labels(plan.task, found, pairs, plan.head, option)
    require_names_of_golds(plan.task, plan.examples, joined, plan.head, option)
    return joined


def _checkpoint(task: BenchmarkTask, settings: EvaluationSettings) -> tuple[str, str] | None:
    """Model and head of a task; None where no model is named for it."""
    own = settings.of_task(task.name)
    if task.name not in settings.tasks and task.uses_head_of is not None:
        own = settings.of_task(task.uses_head_of)
    return None if own.model is None else (own.model, own.head or own.model)


def _plan(
    task: BenchmarkTask, files: DataFiles, settings: EvaluationSettings, messages: Messages, model: str, head: str
) -> TaskPlan:
    split = choose_split(task, files, settings.split)
    examples = task.read(files, split, settings.languages)
    if settings.limit is not None:
        examples = {name: table.slice(0, settings.limit) for name, table in examples.items()}
    if not any(table.num_rows for table in examples.values()):
        raise InputError(
            f"--data: found no rows of {task.name} {split} in {settings.data}, expected some; check it"
        )
    missing = tuple(name for name in task.subsets if name not in examples)
    if missing and settings.languages is None:
        messages(f"{task.name}: not in the data: {', '.join(missing)}")
    return TaskPlan(task, split, examples, missing, model, head)


def _write_examples(folder: EvaluationFolder, plan: TaskPlan) -> dict[str, SubsetRecord]:
    """Write the examples of a task, and say what was written."""
    found = {}
    for subset, examples in plan.examples.items():
        num_gold = examples.num_rows - examples[GOLD].null_count
        sha256 = folder.write_examples(plan.task.name, subset, examples)
        found[subset] = SubsetRecord(examples.num_rows, num_gold, sha256)
    return found


def _recorded_tasks(folder: EvaluationFolder, benchmark: str) -> dict[str, TaskRecord]:
    """The tasks of the same benchmark that were evaluated into this folder before. Raises ConfigError."""
    if not folder.has_record:
        return {}
    record = folder.record()
    if record.benchmark.partition("/")[0] != benchmark.partition("/")[0]:
        raise ConfigError(
            f"--output: {folder.name} holds an evaluation of {record.benchmark}, expected one of {benchmark}, "
            "or nothing; choose another"
        )
    return dict(record.tasks)


def _cluster(address: str) -> str:
    from pipeline.driver.cluster_address import reachable_cluster  # noqa: PLC0415

    return reachable_cluster(address)
