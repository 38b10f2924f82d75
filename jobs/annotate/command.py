"""Annotate Parquet text: `python -m jobs.annotate JOB.toml [--set key.path=value]… [--plan]`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.annotate.exit_report import DONE, how_to_read, report_failures
from jobs.annotate.interruption import INTERRUPTED, Interruption
from jobs.annotate.submission import refuse_lost_output
from jobs.annotate.verification import print_verification
from jobs.terminal.arguments import add_version, utf8_text
from jobs.terminal.streams import accept_any_text
from pipeline.config.job import JobConfig, load_job_config
from pipeline.errors import ConfigError, InputError, PipelineError
from pipeline.storage.filesystem_uris import without_secret

if TYPE_CHECKING:
    from pipeline.driver.run import PreparedRun, RunResult

REFUSED, FAILED = 2, 1
_FLAGS = {
    "--plan": "print the plan and exit",
    "--restart": "process everything again; the existing output stays until the new one is complete",
    "--keep-touched": "treat a file of the same size and footer as unchanged, whatever its time or ETag",
    "--prune-removed": "delete the parts of files that are no longer in the input; default: report and keep them",
    "--retry-failed": "process only the fragments that failed in earlier runs",
    "--retry-errors": "also process the fragments again that have rows with an error",
    "--verify": "read all parts of the output, hold their bytes against their records, and exit",
}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m jobs.annotate", description=__doc__)
    add_version(parser)
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
    for flag, meaning in _FLAGS.items():
        parser.add_argument(flag, action="store_true", help=meaning)
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
    """Run a job, or print its plan; returns the exit code."""
    _refuse_contradiction(options)
    if options.verify:
        return print_verification(job.output.path)
    refuse_lost_output(job.output.path, os.environ)
    # Imported late: torch and Ray take seconds to load, and mistakes in the job file are refused before that.
    from jobs.annotate.plan_report import print_plan  # noqa: PLC0415
    from pipeline.driver.cluster_address import reachable_cluster  # noqa: PLC0415
    from pipeline.driver.preview import preview_run  # noqa: PLC0415
    from pipeline.driver.run import RunOptions, execute_run, prepare_run  # noqa: PLC0415

    run_options = RunOptions(
        is_restart=options.restart,
        retry_failed=options.retry_failed,
        retries_errors=options.retry_errors,
        keeps_touched=options.keep_touched,
        prunes=options.prune_removed,
    )
    if options.plan:
        prepared = prepare_run(job, run_options, _tell)
        print_plan(prepared, preview_run(prepared))
        return DONE
    address = reachable_cluster(options.address)
    prepared = prepare_run(job, run_options, _tell)
    result = execute_run(prepared, address, _tell, interruption.listen)
    _print_result(prepared, result)
    return report_failures(prepared.plan.failed_files, result.failures, prepared.output_name)


def _print_result(run: "PreparedRun", result: "RunResult") -> None:
    num_fragments, counts, name = len(run.plan.fragments), result.counts, run.output_name
    if counts is not None:
        num_skipped = num_fragments - result.num_fragments
        skipped = f"; {num_skipped} fragments were done before" if num_skipped else ""
        print(
            f"done: {counts.num_rows:,} rows in {counts.num_parts} parts in {name}, "
            f"{counts.num_errors:,} rows with errors; {counts.num_tokens:,} tokens through the trunk "
            f"in {result.seconds:.1f} s with start-up; "
            f"at most {counts.peak_rank_bytes / 2**30:.2f} GiB of memory a rank{skipped}"
        )
    elif run.options.retry_failed:
        print(f"nothing to do: no fragment in {name} has failed")
    else:
        print(f"nothing to do: all {num_fragments} fragments are in {name}")
    for line in run.plan.passed_over.lines:
        _tell(line)
    print(how_to_read(name))


def _refuse_contradiction(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that exclude each other."""
    changes = options.restart or options.retry_failed or options.retry_errors or options.prune_removed
    if options.verify and (options.plan or changes):
        raise ConfigError("--verify: found together with another option, expected it alone: it changes nothing")
    for retry, is_given in (("--retry-failed", options.retry_failed), ("--retry-errors", options.retry_errors)):
        if is_given and options.restart:
            raise ConfigError(
                f"{retry}: found together with --restart, which processes everything again; expected "
                "only one of them"
            )
    if options.retry_failed and options.retry_errors:
        raise ConfigError(
            "--retry-errors: found together with --retry-failed, which leaves out all that has not failed; "
            "expected only one of them: --retry-errors also processes what has failed"
        )


def _tell(line: str | None) -> None:
    if line is not None:
        print(line, file=sys.stderr, flush=True)
