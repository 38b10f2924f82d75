"""How far an output is, from its files alone: `python -m jobs.status OUTPUT [--json]`.

OUTPUT is an output folder of jobs.annotate, whose run goes on or has ended. The exit code is 0 where all is done,
3 where the run ended but some files or fragments could not be done, 5 where it goes on or was interrupted, and 2
where there is no output. `--json` prints what `jobs/status.schema.json` describes.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from jobs.terminal.arguments import add_version, parse_known, utf8_text
from jobs.terminal.console import facts_text
from jobs.terminal.streams import accept_any_text
from pipeline.errors import PipelineError
from pipeline.exit_codes import DONE, NOT_FINISHED, PARTLY, REFUSED
from pipeline.failures import FragmentFailure
from pipeline.output.call_history import CallRecord, Extent
from pipeline.output.output_folder import OutputFolder
from pipeline.output.status import Holder, State, Status, read_status
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.locations import resolve_path
from pipeline.storage.printable import number_of

EXIT_CODES = {"complete": DONE, "partly": PARTLY, "running": NOT_FINISHED, "unfinished": NOT_FINISHED}
_MAX_SHOWN = 10


@dataclass(frozen=True)
class StatusReport:
    """How far an output is, as `--json` prints it.

    `in_all`, `done` and `left` are null where no call is recorded in an unfinished output; rates are those of the
    last call, with its start, and null where they say nothing. `exit_code` is that of `jobs.status`.
    """

    state: State
    in_all: Extent | None
    done: Extent | None
    left: Extent | None
    failures: tuple[FragmentFailure, ...]
    holder: Holder | None
    last_call: CallRecord | None
    num_calls: int
    run: str
    rows_per_hour: float | None
    trunk_tokens_per_hour: float | None
    exit_code: int


def json_schema() -> str:
    """The JSON schema of a `StatusReport`, as text."""
    schema = TypeAdapter(StatusReport).json_schema()
    for definition in schema["$defs"].values():
        # Records may have nothing else once one has been read in this process; a report may come to have more.
        if definition.get("additionalProperties") is False:
            del definition["additionalProperties"]
    return json.dumps(schema, indent=1) + "\n"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m jobs.status", description=__doc__)
    add_version(parser)
    parser.add_argument(
        "output", type=utf8_text, nargs="?", metavar="OUTPUT", help="folder or URI that jobs.annotate writes to"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of --json, and exit")
    options = parse_known(parser, arguments)
    if options.output is None and not options.schema:
        parser.error("OUTPUT: found nothing, expected the folder or URI that jobs.annotate writes to; name it")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    if options.schema:
        print(json_schema(), end="")
        return 0
    try:
        status = read_status(OutputFolder(*resolve_path(options.output, "OUTPUT")))
    except PipelineError as error:
        print(f"refused: {without_secret(str(error))}", file=sys.stderr)
        return REFUSED
    if options.json:
        print(json.dumps(asdict(report_of(status)), indent=1, ensure_ascii=False))
    else:
        print(facts_text(_facts(status)))
        print_failures(status)
    return EXIT_CODES[status.state]


def report_of(status: Status) -> StatusReport:
    """What `Status` holds, with what is left and the rates of the last call."""
    counts = status.last_call.counts if status.last_call else None
    return StatusReport(
        state=status.state,
        in_all=status.in_all,
        done=status.done,
        left=status.left,
        failures=status.failures,
        holder=status.holder,
        last_call=status.last_call,
        num_calls=status.num_calls,
        run=status.run,
        rows_per_hour=status.per_hour(counts.num_rows) if counts else None,
        trunk_tokens_per_hour=status.per_hour(counts.num_trunk_tokens) if counts else None,
        exit_code=EXIT_CODES[status.state],
    )


def print_failures(status: Status) -> None:
    """The files and fragments that failed, with reasons."""
    call = status.last_call
    files = {} if call is None or status.state == "complete" else call.failed_files
    for path, reason in list(files.items())[:_MAX_SHOWN]:
        print(f"not read: {path}: {reason}")
    for failure in status.failures[:_MAX_SHOWN]:
        print(f"failed: {failure}")
    num_more = len(files) + len(status.failures) - min(len(files), _MAX_SHOWN)
    num_more -= min(len(status.failures), _MAX_SHOWN)
    if num_more:
        print(f"and {num_more:,} more: --json shows them all")


def _facts(status: Status) -> Iterable[tuple[str, str]]:
    yield "state", status.state
    yield "run", status.run
    if status.in_all is not None and status.done is not None and status.left is not None:
        yield "done", f"{_shown(status.done)} of {_shown(status.in_all)}"
        yield "left", _shown(status.left)
    if status.failures:
        yield "failed", number_of(len(status.failures), "fragment")
    if status.holder is not None:
        yield "held by", _describe_holder(status.holder)
    if status.last_call is not None:
        yield from _call_facts(status, status.last_call)


def _call_facts(status: Status, call: CallRecord) -> Iterable[tuple[str, str]]:
    counts = call.counts
    begun = f"{call.begin} on {call.host}, number {status.num_calls:,}"
    yield "last call", begun
    if call.end is not None:
        why = f": {call.message}" if call.message else ""
        yield "ended", f"{call.end}, exit code {call.exit_code}{why}"
    else:
        yield "heard of", call.updated
    if counts.num_parts:
        yield "it did", f"{_shown(Extent(counts.num_parts, counts.num_rows))}, {counts.num_errors:,} with errors"
    if counts.errors:
        yield "errors", ", ".join(f"{count:,} {kind}" for kind, count in counts.errors.items())
    rows, tokens = (status.per_hour(number) for number in (counts.num_rows, counts.num_trunk_tokens))
    if rows is not None and tokens is not None:
        yield "per hour", f"{rows:,.0f} rows, {tokens:,.0f} tokens through the trunk"
    if call.seconds:
        yield "time", ", ".join(f"{phase} {seconds:,.1f} s" for phase, seconds in call.seconds.items())


def _shown(extent: Extent) -> str:
    return f"{number_of(extent.num_rows, 'row')} in {number_of(extent.num_fragments, 'fragment')}"


def _describe_holder(holder: Holder) -> str:
    state = {
        True: "",
        False: ", which has died",
        None: f", on another machine (dead after {holder.timeout_s:g} s)",
    }
    return f"process {holder.pid} on {holder.host} since {holder.since}{state[holder.is_alive]}"


if __name__ == "__main__":
    sys.exit(main())
