"""`--limit` and `--sample`: annotate a few rows into another folder, and print what came of them."""

import os

from jobs.annotate.exit_report import report_failures
from jobs.annotate.preview_report import print_counts, print_rows, print_whole_job, read_preview, read_texts
from jobs.annotate.submission import refuse_lost_output
from jobs.terminal.console import plain_console
from pipeline.config.job import DEFAULT_FRAGMENT_ROWS, JobConfig
from pipeline.config.local_models import with_local_models
from pipeline.driver.fragment_size import with_fragment_rows
from pipeline.driver.prepared_run import RunOptions, prepare_run
from pipeline.driver.preview_job import Selection, write_preview_rows
from pipeline.driver.run import execute_run
from pipeline.driver.token_estimate import estimate_tokens
from pipeline.exit_codes import PARTLY
from pipeline.heads.preflight import require_runnable
from pipeline.heads.resolve import resolve_heads
from pipeline.heads.shared_trunks import share_trunks
from pipeline.input.planning import plan_fragments
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import with_suffix
from pipeline.storage.printable import number_of

_WIDTH = 120
"""Characters a line where the output is no terminal."""


def run_preview(
    job: JobConfig,
    selection: Selection,
    output_path: str | None,
    address: str,
    messages: Messages,
    phases: Phases,
) -> int:
    """Annotate and print the selected rows of a job; returns the exit code.

    `output_path` is by default that of the job with `.preview` after it. `address` and `phases` are as of
    `execute_run`. Raises ConfigError and InputError like `prepare_run`, for the whole job.
    """
    job_output = without_secret(job.output.path)
    output_path = output_path or with_suffix(job.output.path, ".preview")
    refuse_lost_output(output_path, os.environ)
    # Planned with this output, as it must not be in the input either.
    job = with_local_models(job.model_copy(update={"output": job.output.model_copy(update={"path": output_path})}))
    if job.input.max_fragment_rows == "auto":
        # A preview has few rows, and an output of its own.
        job = with_fragment_rows(job, DEFAULT_FRAGMENT_ROWS)
    resolved = resolve_heads(job)
    require_runnable(job, resolved)
    heads, plan = share_trunks(resolved), plan_fragments(job)
    estimate = estimate_tokens(job, heads, plan)
    preview = write_preview_rows(job, plan, selection, messages)
    for reason in preview.unreadable:
        messages(f"not read: {reason}")
    prepared = prepare_run(preview.job, RunOptions(), messages)
    result = execute_run(prepared, address, messages, phases)

    console = plain_console(_WIDTH)
    which = "drawn from all" if selection.is_sample else "the first of"
    console.print(
        f"preview: {number_of(preview.num_rows, 'row')}, {which} {plan.num_rows:,}, in {prepared.output_name}; "
        f"{job_output} stays as it is"
    )
    rows = read_preview(prepared.output, prepared.heads)
    # Where fragments have failed, it is not known whose texts the rows have.
    texts = None if result.failures else read_texts(prepared.output, heads[0].options.text_columns[0])
    print_rows(console, rows, prepared.heads, texts)
    print_counts(console, rows, prepared.heads)
    if result.counts is not None:
        print_whole_job(console, result.counts, plan.num_rows, estimate, job.run.cost_per_hour)
    code = report_failures(
        plan.failed_files, result.failures, prepared.output_name, messages.error, result.origins
    )
    return PARTLY if preview.unreadable else code
