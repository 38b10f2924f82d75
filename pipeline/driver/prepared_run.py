"""Prepare a run: check the job, plan its fragments and find its folder.

Nothing is written and nothing is started; at most a cluster is asked for its size. So an invalid job is refused
before any work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.config.job import JobConfig
from pipeline.config.local_models import with_local_models
from pipeline.driver.fragment_size import settle_fragment_rows, with_fragment_rows
from pipeline.driver.identity import run_identity
from pipeline.errors import ConfigError
from pipeline.failures import FragmentFailure
from pipeline.fragments import Fragment
from pipeline.heads.finite_weights import require_finite_weights
from pipeline.heads.preflight import Findings, require_runnable
from pipeline.heads.resolve import Head, resolve_heads
from pipeline.heads.shared_trunks import share_trunks
from pipeline.input.planning import Plan, plan_fragments
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.output_path import open_output
from pipeline.output.path_limits import require_fitting_names
from pipeline.output.restart import folder_of_run
from pipeline.output.run_output import RunOutput
from pipeline.storage.filesystem_uris import without_secret

Tell = Callable[[str | None], None]
"""Called with messages for the user, or with None instead."""


@dataclass(frozen=True)
class RunOptions:
    """How a run handles an existing output.

    Attributes:
        is_restart: compute everything again, and replace the output once the new one is complete.
        retry_failed: only process the fragments that failed in earlier runs.
        retries_errors: also process the fragments again that have rows with an error which may change.
        keeps_touched: a file with the same size and footer is unchanged, whatever its modification time or ETag.
        prunes: delete the parts of files that are no input any more.
    """

    is_restart: bool = False
    retry_failed: bool = False
    retries_errors: bool = False
    keeps_touched: bool = False
    prunes: bool = False


@dataclass(frozen=True)
class PreparedRun:
    """A job that has passed all checks that do not need a cluster.

    Attributes:
        job: with models in local directories.
        output: the folder at `output.path`.
        folder: the folder that the run writes to: `output`, or its restart.
        heads: with equal trunks shared.
        fragment_rows: what `input.max_fragment_rows = "auto"` has come to, also in `job`; None for a number.
    """

    job: JobConfig
    options: RunOptions
    output: OutputFolder
    folder: OutputFolder
    heads: list[Head]
    findings: Findings
    plan: Plan
    identity: Mapping[str, str]
    fragment_rows: int | None = None

    @property
    def output_name(self) -> str:
        """The output path without secrets, for printing."""
        return without_secret(self.job.output.path)

    def output_in(self, folder: OutputFolder) -> RunOutput:
        """The output of this run in a folder."""
        options = self.options
        return RunOutput(
            folder,
            self.plan,
            self.identity,
            keeps_touched=options.keeps_touched,
            retries_errors=options.retries_errors,
        )

    def fragments_to_do(self, run: RunOutput, failed: Mapping[str, FragmentFailure]) -> Sequence[Fragment]:
        """The fragments without a part; with `retry_failed` as `Increment.to_retry` says."""
        return run.increment.to_retry(failed) if self.options.retry_failed else run.increment.todo


def prepare_run(
    job: JobConfig, options: RunOptions, tell: Tell, count_replicas: Callable[[], int] = lambda: 1
) -> PreparedRun:
    """Check a job, plan its fragments and find its folder; `tell` is called with warnings.

    `count_replicas` is as of `settle_fragment_rows`. Raises ConfigError or InputError if the job, its input or its
    output is invalid.
    """
    output = open_output(job.output.path)
    job = with_local_models(job)
    resolved = resolve_heads(job)
    findings = require_runnable(job, resolved)
    heads = share_trunks(resolved)
    identity, fragment_rows = None, None
    if job.input.max_fragment_rows == "auto":
        # By what the run was begun with, which is found by its identity: weights are read before the input.
        identity = run_identity(job, heads)
        kept = Manifest(folder_of_run(output, identity, is_restart=options.is_restart)).max_fragment_rows(identity)
        fragment_rows = settle_fragment_rows(job, kept, count_replicas, tell)
    settled = with_fragment_rows(job, fragment_rows)
    plan = plan_fragments(settled)
    require_fitting_names(output, plan.fragments)
    identity = identity or run_identity(job, heads)
    require_finite_weights(job, resolved)
    folder = folder_of_run(output, identity, is_restart=options.is_restart)
    for warning in findings.warnings:
        tell(f"warning: {warning}")
    prepared = PreparedRun(settled, options, output, folder, heads, findings, plan, identity, fragment_rows)
    if options.retry_failed or options.retries_errors:
        _require_earlier_run(prepared)
    return prepared


def _require_earlier_run(prepared: PreparedRun) -> None:
    if Manifest(prepared.folder).identity() is None:
        option, what = ("--retry-failed", "fragments that have failed")
        if prepared.options.retries_errors:
            option, what = ("--retry-errors", "rows that have an error")
        raise ConfigError(
            f"{option}: found no earlier run in {prepared.output_name}, expected an output with {what}; check "
            "output.path, or leave the option out"
        )
