"""Show what a run has done, in lines that fit terminals of 40 columns and more."""

from collections.abc import Iterable, Mapping

from jobs.annotate.exit_report import how_to_read
from jobs.terminal.console import facts_text
from pipeline.driver.prepared_run import PreparedRun
from pipeline.driver.run import RunResult
from pipeline.monitoring.messages import Messages
from pipeline.storage.printable import number_of, printable

MAX_LABELS = 10
_MAX_LABEL_CHARS = 40


def show_summary(run: PreparedRun, result: RunResult, messages: Messages) -> None:
    """Show the summary of a run as its result."""
    num_fragments, counts, name = len(run.plan.fragments), result.counts, run.output_name
    if counts is not None:
        messages.result(
            f"done: {number_of(counts.num_rows, 'row')} in {number_of(counts.num_parts, 'part')} in {name}, "
            f"{number_of(counts.num_errors, 'row with an error', 'rows with errors')}"
        )
        messages.result(facts_text(_facts(run, result)))
    elif run.options.retry_failed:
        messages.result(f"nothing to do: no fragment in {name} has failed")
    elif run.options.retries_errors:
        messages.result(f"nothing to do: no row in {name} has an error that may change")
    else:
        messages.result(f"nothing to do: {_all(num_fragments)} in {name}")
    messages.result(how_to_read(name))
    if counts is not None:
        messages.result(f"to see more: python -m jobs.status {name}, python -m jobs.report {name}")


def _facts(run: PreparedRun, result: RunResult) -> Iterable[tuple[str, str]]:
    """Names and values, of what there is to say."""
    counts, tally = result.counts, result.tally
    assert counts is not None
    if tally.errors:
        yield "errors", ", ".join(f"{count:,} {kind}" for kind, count in tally.errors.items())
    for head in run.heads:
        if labels := tally.labels.get(head.name):
            yield printable(head.name), describe_labels(labels)
    rate = f", {counts.num_tokens / result.seconds:,.0f} a second" if result.seconds else ""
    yield "tokens", f"{counts.num_tokens:,} through the trunk{rate}"
    yield "time", ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in result.phases.items())
    yield "memory", f"at most {counts.peak_rank_bytes / 2**30:.2f} GiB per rank"
    num_before = len(run.plan.fragments) - result.num_fragments
    if num_before:
        yield "before", f"{number_of(num_before, 'fragment was', 'fragments were')} done before"


def describe_labels(labels: Mapping[str, int]) -> str:
    """The most frequent labels and how often each is there."""
    shown = [f"{_short(label)} {count:,}" for label, count in list(labels.items())[:MAX_LABELS]]
    more = f" and {len(labels) - MAX_LABELS:,} more labels" if len(labels) > MAX_LABELS else ""
    return ", ".join(shown) + more


def _all(num_fragments: int) -> str:
    return "the one fragment is" if num_fragments == 1 else f"all {num_fragments:,} fragments are"


def _short(label: str) -> str:
    text = printable(label)
    return text if len(text) <= _MAX_LABEL_CHARS else f"{text[: _MAX_LABEL_CHARS - 1]}…"
