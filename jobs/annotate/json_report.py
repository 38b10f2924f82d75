"""`--json`: the plan or the result of a run on standard output, as `report.schema.json` describes it.

`python -m jobs.annotate.json_report` prints that schema.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter

from pipeline.row_errors import ErrorKind
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import printable

if TYPE_CHECKING:
    from pipeline.driver.outlook import Outlook
    from pipeline.driver.prepared_run import PreparedRun
    from pipeline.driver.run import RunResult

MAX_LABELS = 10


@dataclass(frozen=True)
class UnreadFile:
    """An input file that cannot be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class FailedRows:
    """A fragment that failed: its rows, the stage (read, encode, annotate or write), and why."""

    path: str
    first_row: int
    num_rows: int
    stage: str
    reason: str


@dataclass(frozen=True)
class PlannedHead:
    """A column that the run adds; `type` is its Arrow type."""

    task: str
    reads: list[str]
    weights: str
    type: str


@dataclass(frozen=True)
class Size:
    """Numbers of fragments and rows."""

    num_fragments: int
    num_rows: int


@dataclass(frozen=True)
class Changes:
    """Numbers of input files since the last run."""

    new: int
    changed: int
    touched: int
    unchanged: int
    removed: int


@dataclass(frozen=True)
class NodeGroups:
    """How many shard groups would be on a node; `node` is its address, or null for those that would wait."""

    node: str | None
    num_groups: int


@dataclass(frozen=True)
class PlanReport:
    """What a run would do.

    `num_bytes` are uncompressed, of the columns read; `token_budget` is null where it depends on a GPU that this
    machine does not have; memory is per rank; `layout` is null without a cluster to look at.
    """

    kind: Literal["plan"]
    output: str
    num_files: int
    num_bytes: int
    in_all: Size
    todo: Size
    files: Changes
    model: str
    dtype: str
    device: str
    replicas: int | str
    tensor_parallel_size: int
    layout: list[NodeGroups] | None
    token_budget: int | None
    weights_bytes: int
    activations_bytes: int
    heads: dict[str, PlannedHead]
    failed_files: list[UnreadFile]
    passed_over: list[str]


@dataclass(frozen=True)
class ResultReport:
    """What a run has done.

    `in_all` is of the input, `todo` of what this run had to do, `done` of what it did. `errors` are rows by kind,
    `labels` the most frequent ones of each head. `trunk_tokens` went through a trunk, so many `per_s` with start
    and commit; `seconds` are by phase.
    """

    kind: Literal["result"]
    output: str
    exit_code: int
    is_complete: bool
    in_all: Size
    todo: Size
    done: Size
    num_errors: int
    errors: dict[ErrorKind, int]
    labels: dict[str, dict[str, int]]
    num_windows: int
    trunk_tokens: int
    trunk_tokens_per_s: float
    seconds: dict[str, float]
    peak_rank_bytes: int
    failed_fragments: list[FailedRows]
    failed_files: list[UnreadFile]
    passed_over: list[str]


Report = Annotated[PlanReport | ResultReport, Field(discriminator="kind")]


def json_schema() -> str:
    """The JSON schema of both reports, as text."""
    return json.dumps(TypeAdapter(Report).json_schema(), indent=1) + "\n"


def plan_json(run: "PreparedRun", preview: "Outlook") -> str:
    """The plan as JSON."""
    job, plan, increment = run.job, run.plan, preview.increment
    heads = {
        head.name: PlannedHead(
            task=head.options.task,
            reads=list(head.options.text_columns),
            weights=head.options.weights,
            type=str(head.output_type),
        )
        for head in run.heads
    }
    return _as_json(
        PlanReport(
            kind="plan",
            output=run.output_name,
            num_files=plan.num_files,
            num_bytes=plan.num_bytes,
            in_all=Size(len(plan.fragments), plan.num_rows),
            todo=Size(len(preview.todo), sum(fragment.num_rows for fragment in preview.todo)),
            files=Changes(
                *(len(getattr(increment, name)) for name in ("new", "changed", "touched", "unchanged", "removed"))
            ),
            model=job.model.path,
            dtype=preview.dtype,
            device=preview.device,
            replicas=job.model.replicas,
            tensor_parallel_size=job.model.tensor_parallel_size,
            layout=_layout(preview),
            token_budget=preview.token_budget,
            weights_bytes=preview.memory.weights,
            activations_bytes=preview.memory.activations,
            heads=heads,
            failed_files=list(_unread(run)),
            passed_over=plan.passed_over.lines,
        )
    )


def _layout(preview: "Outlook") -> list[NodeGroups] | None:
    if preview.layout is None:
        return None
    addresses = {node.node_id: node.address for node in preview.nodes}
    counts = Counter(preview.layout.nodes)
    return [NodeGroups(None if node is None else addresses[node], count) for node, count in counts.items()]


def result_json(run: "PreparedRun", result: "RunResult") -> str:
    """The result as JSON."""
    plan, counts, tally = run.plan, result.counts, result.tally
    tokens = counts.num_tokens if counts else 0
    return _as_json(
        ResultReport(
            kind="result",
            output=run.output_name,
            exit_code=result.exit_code,
            is_complete=result.is_done,
            in_all=Size(len(plan.fragments), plan.num_rows),
            todo=Size(result.num_fragments, result.num_rows),
            done=Size(counts.num_parts, counts.num_rows) if counts else Size(0, 0),
            num_errors=counts.num_errors if counts else 0,
            errors=dict(tally.errors),
            labels=tally.most_frequent(MAX_LABELS),
            num_windows=tally.num_windows,
            trunk_tokens=tokens,
            trunk_tokens_per_s=round(tokens / result.seconds, 1) if result.seconds else 0.0,
            seconds={phase: round(seconds, 2) for phase, seconds in result.phases.items()},
            peak_rank_bytes=counts.peak_rank_bytes if counts else 0,
            failed_fragments=[
                FailedRows(printable(f.input_path), f.first_row, f.num_rows, f.stage, f.reason)
                for f in result.failures
            ],
            failed_files=list(_unread(run)),
            passed_over=plan.passed_over.lines,
        )
    )


def _unread(run: "PreparedRun") -> Iterable[UnreadFile]:
    return (UnreadFile(without_secret(file.path), file.reason) for file in run.plan.failed_files)


def _as_json(report: PlanReport | ResultReport) -> str:
    return json.dumps(asdict(report), indent=1, ensure_ascii=False)


if __name__ == "__main__":
    print(json_schema(), end="")
