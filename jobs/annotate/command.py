"""Annotate Parquet text: `python -m jobs.annotate JOB.toml [--set key.path=value]… [--plan]`."""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.annotate.exit_report import DONE, how_to_read, report_failures
from jobs.annotate.interruption import INTERRUPTED, Interruption
from jobs.annotate.plan_report import describe_increment, print_plan
from jobs.annotate.submission import refuse_lost_output
from jobs.terminal.arguments import utf8_text
from jobs.terminal.streams import accept_any_text
from pipeline.config.job import JobConfig, load_job_config
from pipeline.config.local_models import with_local_models
from pipeline.driver.cluster_address import reachable_cluster
from pipeline.driver.dataset import annotate_fragments
from pipeline.driver.identity import run_identity
from pipeline.driver.ray_connection import deploy, ray_cluster
from pipeline.errors import ConfigError, InputError, PipelineError
from pipeline.failures import FailureLog, FragmentFailure
from pipeline.fragments import Fragment
from pipeline.heads.finite_weights import require_finite_weights
from pipeline.heads.preflight import require_runnable
from pipeline.heads.resolve import Head, resolve_heads
from pipeline.heads.shared_trunks import share_trunks
from pipeline.input.planning import Plan, plan_fragments
from pipeline.monitoring.progress_counter import Counts
from pipeline.output.lease import held_lease
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.output_path import open_output
from pipeline.output.path_limits import require_fitting_names
from pipeline.output.restart import begin_run, folder_of_run, replace_output, unfinished_restart
from pipeline.output.run_output import RunOutput
from pipeline.replica.placement import describe_fewer_replicas
from pipeline.storage.filesystem_uris import without_secret

REFUSED, FAILED = 2, 1


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m jobs.annotate", description=__doc__)
    parser.add_argument("job", type=Path, metavar="JOB.toml", help="the job's configuration")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        type=utf8_text,
        metavar="KEY=VALUE",
        help='override a value, e.g. --set output.path=annotated --set heads.topic.weights="heads/new"',
    )
    parser.add_argument("--plan", action="store_true", help="print what would be done, and do nothing")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="do everything anew; what is in the output stays until the new one is complete, and is replaced then",
    )
    parser.add_argument(
        "--keep-touched",
        action="store_true",
        help="take a file for unchanged if its size and footer are, though its modification time or ETag is not",
    )
    parser.add_argument(
        "--prune-removed",
        action="store_true",
        help="delete the parts of files that are no input any more; without it they are reported and kept",
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="do just the fragments that failed in earlier runs"
    )
    parser.add_argument(
        "--address",
        default=os.environ.get("RAY_ADDRESS") or "local",
        help='Ray cluster to run on; default: the one of `ray job submit`, else "local" (this machine)',
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    try:
        with Interruption() as interruption:
            job = load_job_config(options.job, options.overrides)
            return run_job(job, interruption, options)
    except (ConfigError, InputError) as error:
        print(f"refused: {without_secret(str(error))}", file=sys.stderr)
        return REFUSED
    except PipelineError as error:
        print(f"failed: {without_secret(str(error))}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on from here", file=sys.stderr)
        return INTERRUPTED


def run_job(job: JobConfig, interruption: Interruption, options: argparse.Namespace) -> int:
    """Plan a job and, unless only the plan is wanted, do what is not done yet; returns the exit code."""
    _refuse_contradiction(options)
    refuse_lost_output(job.output.path, os.environ)
    output = open_output(job.output.path)
    if not options.plan:
        options.address = reachable_cluster(options.address)
    job = with_local_models(job)
    resolved = resolve_heads(job)
    findings = require_runnable(job, resolved)
    heads = share_trunks(resolved)
    plan = plan_fragments(job)
    require_fitting_names(output, plan.fragments)
    identity = run_identity(job, heads)
    require_finite_weights(job, resolved)
    folder = folder_of_run(output, identity, is_restart=options.restart)
    for warning in findings.warnings:
        _tell(f"warning: {warning}")
    if options.retry_failed:
        _require_earlier_run(folder, without_secret(job.output.path))
    if options.plan:
        run = RunOutput(folder, plan, identity, keeps_touched=options.keep_touched)
        failed = FailureLog(folder.filesystem, folder.root).failures()
        todo = _todo(run.increment.todo, failed, options.retry_failed)
        print_plan(
            job,
            plan,
            heads,
            run.increment,
            todo,
            unused=findings.unused,
            prunes=options.prune_removed,
            kept_token_budget=run.manifest.token_budget(),
        )
        return DONE
    with held_lease(output, job.output.lease_timeout_s, _tell):
        folder = begin_run(output, identity, is_restart=options.restart)
        _tell(unfinished_restart(output, folder))
        run = RunOutput(folder, plan, identity, keeps_touched=options.keep_touched)
        code, is_done = _do_remaining(job, plan, heads, run, interruption, options)
        if is_done and folder != output:
            replace_output(output)
    return code


def _do_remaining(
    job: JobConfig,
    plan: Plan,
    heads: list[Head],
    run: RunOutput,
    interruption: Interruption,
    options: argparse.Namespace,
) -> tuple[int, bool]:
    """Do what is not done yet; the exit code, and whether now everything is done."""
    name = without_secret(job.output.path)
    run.begin(prunes=options.prune_removed)
    _tell(describe_increment(run.increment, prunes=options.prune_removed))
    log = FailureLog(run.folder.filesystem, run.folder.root)
    failed = log.failures()
    for part_path in failed.keys() - ({f.part_path for f in run.increment.todo} if failed else set()):
        log.forget(part_path)
    todo = _todo(run.increment.todo, failed, options.retry_failed)
    failures: Sequence[FragmentFailure] = ()
    if todo:
        started = time.monotonic()
        counts = _annotate(job, plan, todo, heads, run, interruption, failed, options.address)
        failures = list(counts.failures.values())
    is_done = run.end(prunes=options.prune_removed)
    if todo:
        seconds = time.monotonic() - started
        print(
            f"done: {counts.num_rows:,} rows in {counts.num_parts} parts in {name}, "
            f"{counts.num_errors:,} rows with errors; {counts.num_tokens:,} tokens through the trunk "
            f"in {seconds:.1f} s with start-up; at most {counts.peak_rank_bytes / 2**30:.2f} GiB of memory a rank"
            + _skipped(plan, todo)
        )
    elif options.retry_failed:
        print(f"nothing to do: no fragment in {name} has failed")
    else:
        print(f"nothing to do: all {len(plan.fragments)} fragments are in {name}")
    for line in plan.passed_over.lines:
        _tell(line)
    print(how_to_read(name))
    return report_failures(plan.failed_files, failures, name), is_done


def _annotate(
    job: JobConfig,
    plan: Plan,
    todo: Sequence[Fragment],
    heads: list[Head],
    run: RunOutput,
    interruption: Interruption,
    failed: Mapping[str, FragmentFailure],
    address: str,
) -> Counts:
    with ray_cluster(address) as cores:
        interruption.listen()
        deployment = deploy(
            job, heads, cores, num_fragments=len(todo), kept_token_budget=run.manifest.token_budget()
        )
        _tell(describe_fewer_replicas(job.model, deployment.num_replicas, len(todo)))
        run.manifest.settle(dtype=deployment.shard.dtype, token_budget=deployment.token_budget)
        return annotate_fragments(
            job,
            plan,
            todo,
            heads,
            deployment,
            folder=run.folder,
            staged=run.increment.staged,
            failed_before=failed,
        )


def _refuse_contradiction(options: argparse.Namespace) -> None:
    """Raise ConfigError where options do not go together; all others of `parse_arguments` do."""
    if options.retry_failed and options.restart:
        raise ConfigError(
            "--retry-failed: found --restart too, which does everything anew, expected one of the two; leave one "
            "of them out"
        )


def _require_earlier_run(folder: OutputFolder, name: str) -> None:
    if Manifest(folder.filesystem, folder.root).identity() is None:
        raise ConfigError(
            f"--retry-failed: found no earlier run in {name}, expected an output with fragments that have failed; "
            "check output.path, or leave the option out"
        )


def _tell(line: str | None) -> None:
    if line is not None:
        print(line, file=sys.stderr, flush=True)


def _todo(
    remaining: Sequence[Fragment], failed: Mapping[str, FragmentFailure], retry_failed: bool
) -> Sequence[Fragment]:
    return [f for f in remaining if f.part_path in failed] if retry_failed else remaining


def _skipped(plan: Plan, todo: Sequence[Fragment]) -> str:
    num_skipped = len(plan.fragments) - len(todo)
    return f"; {num_skipped} fragments were done before" if num_skipped else ""
