"""Annotate Parquet text: `python -m jobs.annotate JOB.toml [--set key.path=value]… [--plan]`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.annotate.exit_report import report_failures
from jobs.annotate.shown_secrets import refuse_shown_secrets
from jobs.annotate.submission import refuse_lost_output
from jobs.annotate.verification import print_verification
from jobs.terminal.arguments import add_version, parse_known, utf8_text
from jobs.terminal.interruption import Interruption
from jobs.terminal.leaving import leave_quickly
from jobs.terminal.streams import accept_any_text
from pipeline.config.job import JobConfig, load_job_config
from pipeline.errors import ConfigError, PipelineError
from pipeline.exit_codes import DONE, INTERRUPTED, PARTLY, REFUSED, ending_of, exit_code_of
from pipeline.monitoring.messages import Messages, opened_log
from pipeline.monitoring.phases import Phases, process_began

if TYPE_CHECKING:
    from pipeline.driver.prepared_run import PreparedRun
    from pipeline.driver.run import RunResult
    from pipeline.monitoring.cluster_state import ClusterState


_GO_ON = "run the same command again to go on from here"
_FLAGS = {
    "--plan": "print the plan and exit; with --address also how the cluster would be used",
    "--restart": "process everything again; the existing output stays until the new one is complete",
    "--keep-touched": "treat a file of the same size and footer as unchanged, whatever its time or ETag",
    "--prune-removed": "delete the parts of files that are no longer in the input; default: report and keep them",
    "--retry-failed": "process only the fragments that failed in earlier runs",
    "--retry-errors": "also process the fragments again that have rows with an error that may change",
    "--json": "print the plan or the result as JSON (jobs/annotate/report.schema.json)",
    "--verify": "read all parts of the output, hold their bytes against their records, and exit",
    "--quiet": "print only errors and the result",
    "--failed-ok": "end with exit code 0 also where files or fragments failed; default: 3",
}


_EPILOG = (
    "Exit codes: 0 all done, 1 ended early, 2 refused before any work, 3 finished but for some files or "
    "fragments, 4 no room on the cluster in time, 130 interrupted."
)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m jobs.annotate", description=__doc__, epilog=_EPILOG)
    add_version(parser)
    parser.add_argument("job", type=Path, nargs="?", metavar="JOB.toml", help="the job's configuration")
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
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--limit", type=int, metavar="N", help="preview: annotate and show the first N rows only")
    rows.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="preview: the same for N rows drawn over all files",
    )
    parser.add_argument(
        "--preview-output",
        type=utf8_text,
        metavar="PATH",
        help="where a preview is written, in place of what an earlier one has left; default: OUTPUT.preview",
    )
    parser.add_argument(
        "--init",
        type=utf8_text,
        metavar="PARQUET",
        help="in place of JOB.toml: write a commented job for this file, folder or glob, and exit",
    )
    parser.add_argument(
        "--init-output", type=utf8_text, metavar="JOB.toml", help="where --init writes; default: standard output"
    )
    parser.add_argument(
        "--tokens-per-second",
        type=float,
        metavar="RATE",
        help="with --plan: say how long a run takes at this rate, and what it costs with run.cost_per_hour",
    )
    parser.add_argument(
        "--log-file",
        type=Path,
        metavar="FILE",
        help="append all messages to a file, with time stamps, also those that --quiet hides",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: each message is a line of JSON, with run, fragment, attempt and node; default: text",
    )
    parser.add_argument(
        "--address",
        default=os.environ.get("RAY_ADDRESS") or "local",
        help='Ray cluster to run on; default: the one of `ray job submit`, else "local" (this machine)',
    )
    options = parse_known(parser, arguments)
    options.command = [parser.prog, *(sys.argv[1:] if arguments is None else arguments)]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    began = process_began() if arguments is None else time.monotonic()
    accept_any_text()
    options = parse_arguments(arguments)
    try:
        with opened_log(options.log_file) as log:
            messages = Messages(log, is_quiet=options.quiet, log_format=options.log_format)
            code = _run_and_report(options, messages, began)
    except ConfigError as error:
        # Of the log file itself.
        Messages(log_format=options.log_format).error(f"refused: {error}")
        return REFUSED
    if arguments is None:
        leave_quickly(code)
    return code


def _run_and_report(options: argparse.Namespace, messages: Messages, began: float) -> int:
    """Run the job; returns the exit code, also of its errors."""
    phases = Phases(messages)
    phases.begin("checking", began)
    try:
        with Interruption():
            refuse_shown_secrets(options.command, os.environ)
            if options.init is not None or options.init_output is not None or options.job is None:
                return _write_job(options)
            job = load_job_config(options.job, options.overrides)
            return run_job(job, options, messages, phases)
    except PipelineError as error:
        messages.error(ending_of(error))
        return exit_code_of(error)
    except KeyboardInterrupt:
        changes_nothing = options.plan or options.verify
        messages.error(f"interrupted: {'nothing was changed' if changes_nothing else _GO_ON}")
        return INTERRUPTED


def _write_job(options: argparse.Namespace) -> int:
    """Write a job file for `--init`."""
    if options.init is None or options.job is not None:
        given = {"JOB.toml": options.job, "--init": options.init, "--init-output": options.init_output}
        found = " and ".join(name for name, value in given.items() if value is not None) or "nothing"
        raise ConfigError(
            f"JOB.toml: found {found}, expected a job file, or --init PARQUET, which writes one; give one of them"
        )
    from jobs.annotate.init import write_job  # noqa: PLC0415

    write_job(options.init, options.init_output)
    return DONE


def run_job(job: JobConfig, options: argparse.Namespace, messages: Messages, phases: Phases) -> int:
    """Run a job, or print its plan; returns the exit code."""
    _refuse_contradiction(options)
    if options.verify:
        return print_verification(job.output.path, messages)
    refuse_lost_output(job.output.path, os.environ)
    # Imported late: it takes half a second, and mistakes in the job file are refused before that.
    from pipeline.driver.cluster_address import reachable_cluster  # noqa: PLC0415
    from pipeline.driver.fragment_size import replicas_on  # noqa: PLC0415
    from pipeline.driver.prepared_run import RunOptions, prepare_run  # noqa: PLC0415
    from pipeline.driver.run import execute_run  # noqa: PLC0415

    run_options = RunOptions(
        is_restart=options.restart,
        retry_failed=options.retry_failed,
        retries_errors=options.retry_errors,
        keeps_touched=options.keep_touched,
        prunes=options.prune_removed,
    )

    def count_replicas() -> int:
        return replicas_on(job, reachable_cluster(options.address))

    if options.plan:
        _print_plan(prepare_run(job, run_options, messages, count_replicas), options)
        return DONE
    address = reachable_cluster(options.address)
    if options.limit or options.sample:
        from jobs.annotate.preview import run_preview  # noqa: PLC0415
        from pipeline.driver.preview_job import Selection  # noqa: PLC0415

        selection = Selection(options.limit or options.sample, is_sample=options.limit is None)
        return run_preview(job, selection, options.preview_output, address, messages, phases)
    prepared = prepare_run(job, run_options, messages, count_replicas)
    result = execute_run(prepared, address, messages, phases, command=options.command)
    return _report(prepared, result, options, messages)


def _report(prepared: "PreparedRun", result: "RunResult", options: argparse.Namespace, messages: Messages) -> int:
    """Tell how a run has ended; returns the exit code."""
    # Imported late, as above.
    from jobs.annotate.json_report import result_json  # noqa: PLC0415
    from jobs.annotate.summary import show_summary  # noqa: PLC0415

    for line in prepared.plan.passed_over.lines:
        messages(line)
    if options.json:
        # Not through `messages`, which may shorten what looks like a URI.
        print(result_json(prepared, result))
    else:
        show_summary(prepared, result, messages)
    code = report_failures(
        prepared.plan.failed_files, result.failures, prepared.output_name, messages.error, result.origins
    )
    return DONE if options.failed_ok and code == PARTLY else code


def _print_plan(prepared: "PreparedRun", options: argparse.Namespace) -> None:
    # Imported late: it loads torch, for the memory of a rank.
    from jobs.annotate.json_report import plan_json  # noqa: PLC0415
    from jobs.annotate.plan_report import print_plan  # noqa: PLC0415
    from pipeline.driver.outlook import outlook_of  # noqa: PLC0415

    outlook = outlook_of(prepared, *_cluster(options.address))
    if options.json:
        print(plan_json(prepared, outlook))
    else:
        print_plan(prepared, outlook, options.tokens_per_second)


def _cluster(address: str) -> tuple["ClusterState", int] | tuple[()]:
    """The cluster at an address, and cores for ranks on each of its nodes; nothing for this machine."""
    from pipeline.driver.cluster_address import LOCAL, reachable_cluster  # noqa: PLC0415

    if address == LOCAL:
        return ()
    from pipeline.driver.ray_connection import cluster_at  # noqa: PLC0415

    return cluster_at(reachable_cluster(address))


def _refuse_contradiction(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that exclude each other."""
    changes = options.restart or options.retry_failed or options.retry_errors or options.prune_removed
    if options.verify and (options.plan or options.json or options.failed_ok or changes):
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
    _refuse_wrong_preview(options)


def _refuse_wrong_preview(options: argparse.Namespace) -> None:
    """Raise ConfigError for options of previews and plans that are out of range, or go with no others."""
    for name in ("limit", "sample", "tokens_per_second"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ConfigError(f"--{name.replace('_', '-')}: found {value:g}, expected a number above 0; write one")
    if options.tokens_per_second is not None and not options.plan:
        raise ConfigError("--tokens-per-second: found without --plan, expected both; add --plan, or leave it out")
    is_preview = options.limit is not None or options.sample is not None
    refused = [flag for flag in _FLAGS if flag != "--quiet"]
    others = [flag for flag in refused if getattr(options, flag.strip("-").replace("-", "_"))]
    if is_preview and others:
        raise ConfigError(
            f"--{'sample' if options.limit is None else 'limit'}: found together with {others[0]}, expected only "
            "one of them: a preview is always made anew, in a folder of its own"
        )
    if options.preview_output is not None and not is_preview:
        raise ConfigError(
            "--preview-output: found without --limit and --sample, expected one of them; add one, or leave it out"
        )
