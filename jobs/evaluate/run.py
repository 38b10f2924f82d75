"""Evaluate: read the benchmark, check heads and labels, write the examples, annotate, and record what was done."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import get_args

import pyarrow as pa

from jobs.annotate.submission import refuse_lost_output
from jobs.evaluate.annotation import TaskPlan, annotate, annotation_job, head_labels, shown_options
from jobs.evaluate.benchmarks.all_benchmarks import BENCHMARKS
from jobs.evaluate.benchmarks.own_data import OwnColumns, OwnTask, own_splits, own_task
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import choose_split
from jobs.evaluate.examples import GOLD, Benchmark, BenchmarkTask
from jobs.evaluate.folder import FORMAT, EvaluationFolder, EvaluationRecord, SubsetRecord, TaskRecord
from jobs.evaluate.labels import join_labels, require_names_of_golds
from jobs.evaluate.settings import AS_GIVEN, EvaluationSettings
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError, InputError
from pipeline.monitoring.messages import Messages

OWN_TASKS = get_args(OwnTask)
"""Tasks of the pipeline that data of one's own can be evaluated on, in place of a benchmark."""
_ROLES = ("text", "text_pair", "words", "prompt", "choices", "question", "context", "id")


def evaluate(settings: EvaluationSettings, command: str, address: str, on_connected: Callable[[], None]) -> int:
    """Annotate the examples of a benchmark; returns the exit code, 3 where some of it failed.

    Everything that can be refused is refused before any work, with ConfigError or InputError.
    """
    folder = EvaluationFolder.open(settings.output["path"])
    refuse_lost_output(folder.path, os.environ)
    plans = plan_tasks(settings)
    jobs = [annotation_job(plan, settings, folder) for plan in plans]
    labels = [labels_of(plan, job, settings) for plan, job in zip(plans, jobs, strict=True)]
    tasks = _recorded_tasks(folder, settings.benchmark)
    code = 0
    for plan, job, names in zip(plans, jobs, labels, strict=True):
        subsets = {name: _written(folder, plan.task.name, name, table) for name, table in plan.examples.items()}
        identity, code_of_task = annotate(job, _cluster(address), Messages(), on_connected)
        code = max(code, code_of_task)
        tasks[plan.task.name] = TaskRecord(
            kind=plan.task.kind,
            metrics=plan.task.metrics,
            rules=plan.task.rules,
            split=plan.split,
            model=plan.model,
            head=plan.head,
            labels=names,
            labels_as_given=settings.of_task(plan.task.name).labels == AS_GIVEN,
            subsets=subsets,
            missing=plan.missing,
            options=shown_options(job),
            identity=dict(identity),
        )
        folder.write_record(EvaluationRecord(FORMAT, settings.benchmark, command, tasks))
    return code


def plan_tasks(settings: EvaluationSettings) -> list[TaskPlan]:
    """Read the examples of each task that has a model. Raises ConfigError or InputError."""
    if settings.data is None:
        raise ConfigError("--data: is missing, expected the folder with the benchmark's Parquet files; add it")
    files = DataFiles.open(settings.data)
    benchmark, tasks = find_tasks(settings, files)
    checkpoints = {task.name: _checkpoint(task, settings) for task in tasks}
    chosen = [task for task in tasks if checkpoints[task.name] is not None]
    if not chosen:
        example = f"--model {tasks[0].name}=DIR" if len(tasks) > 1 else "--model DIR"
        raise ConfigError(f"--model: is missing, expected the directory of a checkpoint; add {example}")
    without = [task.name for task in tasks if checkpoints[task.name] is None]
    if without:
        _tell(f"not evaluated, as no model is named for them: {', '.join(without)}")
    for name in settings.tasks.keys() - checkpoints.keys():
        raise ConfigError(
            f"tasks.{name}: found a task that {benchmark.name} does not have, expected one of "
            f"{', '.join(checkpoints)}; correct its name"
        )
    return [_plan(task, files, settings, *(checkpoints[task.name] or ("", ""))) for task in chosen]


def find_tasks(settings: EvaluationSettings, files: DataFiles) -> tuple[Benchmark, Sequence[BenchmarkTask]]:
    """The benchmark by its name, and the tasks meant: all, or the one after the slash. Raises ConfigError."""
    name, _, part = settings.benchmark.partition("/")
    if name in OWN_TASKS:
        benchmark = Benchmark(name, (_own_task(name, files, settings),))
        return benchmark, benchmark.tasks
    if settings.own.gold is not None:
        raise ConfigError(
            f"--gold: found beside the benchmark {name}, expected beside one of "
            f"{', '.join(OWN_TASKS)}; leave it out"
        )
    if name not in BENCHMARKS:
        known = ", ".join([*BENCHMARKS, *OWN_TASKS])
        raise ConfigError(f"BENCHMARK: found {settings.benchmark!r}, expected one of {known}; correct it")
    benchmark = BENCHMARKS[name]
    tasks = [task for task in benchmark.tasks if not part or task.name == part]
    if not tasks:
        known = ", ".join(task.name for task in benchmark.tasks)
        raise ConfigError(
            f"BENCHMARK: found {settings.benchmark!r}, expected a task of {name}: {known}; correct it"
        )
    return benchmark, tasks


def _own_task(name: str, files: DataFiles, settings: EvaluationSettings) -> BenchmarkTask:
    """The task of data of one's own, by the columns that are named."""
    own = settings.own
    task = next(task for task in OWN_TASKS if task == name)
    if own.gold is None:
        raise ConfigError(f"--gold: is missing, expected the column with the right answers, for {name}; name it")
    fields = dict.fromkeys(_ROLES, "--columns")
    split = settings.split or next(
        (s for s in ("test", "validation") if s in own_splits(files)), own_splits(files)[0]
    )
    return own_task(files, OwnColumns(task, own.gold, own.columns, own.by, fields), split)


def labels_of(plan: TaskPlan, job: JobConfig, settings: EvaluationSettings) -> dict[str, str]:
    """The benchmark's names of the head's labels, by these; empty for tasks without. Raises ConfigError."""
    if plan.task.kind not in ("classification", "multi-label", "words"):
        return {}
    given = settings.of_task(plan.task.name).labels
    pairs = given if isinstance(given, dict) else None
    joined = join_labels(plan.task, head_labels(job), pairs, plan.head)
    require_names_of_golds(plan.task, plan.examples, joined, plan.head)
    return joined


def _checkpoint(task: BenchmarkTask, settings: EvaluationSettings) -> tuple[str, str] | None:
    """Model and head of a task; None where no model is named for it."""
    own = settings.of_task(task.name)
    if task.name not in settings.tasks and task.uses_head_of is not None:
        own = settings.of_task(task.uses_head_of)
    return None if own.model is None else (own.model, own.head or own.model)


def _plan(task: BenchmarkTask, files: DataFiles, settings: EvaluationSettings, model: str, head: str) -> TaskPlan:
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
        _tell(f"{task.name}: not in the data: {', '.join(missing)}")
    return TaskPlan(task, split, examples, missing, model, head)


def _written(folder: EvaluationFolder, task: str, subset: str, examples: pa.Table) -> SubsetRecord:
    num_gold = examples.num_rows - examples[GOLD].null_count
    return SubsetRecord(examples.num_rows, num_gold, folder.write_examples(task, subset, examples))


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


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
