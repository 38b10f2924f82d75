"""Annotate Parquet text: `python -m jobs.annotate JOB.toml [--set key.path=value]… [--plan]`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import ray

from jobs.plan_report import print_plan
from pipeline.cluster import connect, deploy
from pipeline.config import JobConfig, load_job_config
from pipeline.errors import ConfigError, InputError
from pipeline.fragments import Fragment
from pipeline.graph import annotate_fragments
from pipeline.heads import resolve_heads
from pipeline.identity import run_identity
from pipeline.manifest import Manifest, remaining_fragments
from pipeline.model_paths import with_local_models
from pipeline.paths import resolve_path
from pipeline.planning import Plan, plan_fragments
from pipeline.preflight import require_runnable
from pipeline.trunks import share_trunks

DONE, REFUSED, FAILED, PARTLY, INTERRUPTED = 0, 2, 1, 3, 130


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m jobs.annotate", description=__doc__)
    parser.add_argument("job", type=Path, metavar="JOB.toml", help="the job's configuration")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help='override a value, e.g. --set output.path=annotated --set heads.topic.weights="heads/new"',
    )
    parser.add_argument("--plan", action="store_true", help="print what would be done, and do nothing")
    parser.add_argument(
        "--address",
        default=os.environ.get("RAY_ADDRESS") or "local",
        help='Ray cluster to run on; default: the one of `ray job submit`, else "local" (this machine)',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parse_arguments(arguments)
    try:
        job = load_job_config(options.job, options.overrides)
        return run_job(job, address=options.address, plan_only=options.plan)
    except (ConfigError, InputError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on from here", file=sys.stderr)
        return INTERRUPTED


def run_job(job: JobConfig, *, address: str, plan_only: bool = False) -> int:
    """Plan a job and, unless only the plan is wanted, do what is not done yet; returns the exit code."""
    job = with_local_models(job)
    heads = share_trunks(resolve_heads(job))
    require_runnable(job, heads)
    plan = plan_fragments(job)
    filesystem, root = resolve_path(job.output.path, "output.path")
    manifest = Manifest(filesystem, root)
    if plan_only:
        todo = remaining_fragments(plan.fragments, manifest.finished())
        print_plan(job, plan, heads, todo)
        return DONE
    manifest.open_run(run_identity(job, heads))
    todo = remaining_fragments(plan.fragments, manifest.finished())
    if not todo:
        print(f"nothing to do: all {len(plan.fragments)} fragments are in {job.output.path}")
        return _report_failed_files(plan)
    started = time.monotonic()
    cores = connect(address)
    try:
        counts = annotate_fragments(job, plan, todo, heads, deploy(job, cores))
    finally:
        ray.shutdown()
    seconds = time.monotonic() - started
    print(
        f"done: {counts.num_rows:,} rows in {counts.num_parts} parts in {job.output.path}, "
        f"{counts.num_errors:,} rows with errors; {counts.num_tokens:,} tokens through the trunk "
        f"in {seconds:.1f} s with start-up; at most {counts.peak_rank_bytes / 2**30:.2f} GiB of memory a rank"
        + _skipped(plan, todo)
    )
    return _report_failed_files(plan)


def _skipped(plan: Plan, todo: Sequence[Fragment]) -> str:
    num_skipped = len(plan.fragments) - len(todo)
    return f"; {num_skipped} fragments were done before" if num_skipped else ""


def _report_failed_files(plan: Plan) -> int:
    for file in plan.failed_files:
        print(f"not read: {file.path}: {file.reason}", file=sys.stderr)
    return PARTLY if plan.failed_files else DONE


if __name__ == "__main__":
    sys.exit(main())
