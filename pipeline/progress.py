"""How far a job is: counted by an actor, shown on a terminal or as plain lines in a log."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ray.actor import ActorHandle
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.actors import answer
from pipeline.failures import FragmentFailure, Stage
from pipeline.guard import Tries

_TERMINAL_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 15.0
_STAMP = "%Y-%m-%d %H:%M:%S"
# The rate is that of the last minute, so that the estimate follows a cluster that grows or shrinks.
_RATE_WINDOW_S = 60.0


@dataclass(frozen=True)
class Counts:
    """What has been done so far.

    Attributes:
        num_tokens: tokens that have passed a trunk, those of unfinished fragments too.
        fragment_tokens: by part path, the tokens of fragments that are annotated.
        num_parts, num_rows, num_errors: of parts that are in place.
        peak_rank_bytes: most memory that a rank has held while it computed.
        failures: of this run, by part path.
        num_failed_writes: parts that could not be written since the last one that could.
        notes: what replicas had to tell, in order.
    """

    num_tokens: int
    fragment_tokens: Mapping[str, int]
    num_parts: int
    num_rows: int
    num_errors: int
    peak_rank_bytes: int
    failures: Mapping[str, FragmentFailure] = field(default_factory=dict)
    num_failed_writes: int = 0
    notes: tuple[str, ...] = ()


class ProgressCounter:
    """An actor that workers, leaders and the sink report to."""

    def __init__(self) -> None:
        self._tries = Tries()
        self._failures: dict[str, FragmentFailure] = {}
        self._num_failed_writes = 0
        self._notes: list[str] = []
        self._num_tokens = 0
        self._fragment_tokens: dict[str, int] = {}
        self._parts: dict[str, tuple[int, int]] = {}
        self._peak_rank_bytes = 0

    def add_tokens(self, num_tokens: int) -> None:
        """A batch has passed the trunk."""
        self._num_tokens += num_tokens

    def finish_fragment(self, part_path: str, num_tokens: int, peak_rank_bytes: int) -> None:
        """A fragment is annotated."""
        self._fragment_tokens[part_path] = num_tokens
        self._peak_rank_bytes = max(self._peak_rank_bytes, peak_rank_bytes)

    def finish_part(self, part_path: str, num_rows: int, num_errors: int) -> None:
        """A part is in place."""
        self._parts[part_path] = (num_rows, num_errors)
        self._failures.pop(part_path, None)
        self._num_failed_writes = 0

    def fail_fragment(self, failure: FragmentFailure) -> int:
        """A fragment has failed; returns how many parts in a row could not be written."""
        self._failures[failure.part_path] = failure
        self._num_failed_writes += failure.stage == "write"
        return self._num_failed_writes

    def note(self, text: str) -> None:
        """Something that whoever runs the job should see."""
        self._notes.append(text)

    def begin(self, stage: Stage, part_path: str) -> int:
        """Which try this is of a stage, those left out that came to an end."""
        return self._tries.begin(stage, part_path)

    def end(self, stage: Stage, part_path: str) -> None:
        """The stage has come to an end."""
        self._tries.end(stage, part_path)

    def counts(self) -> Counts:
        """All of it."""
        rows, errors = (sum(part[i] for part in self._parts.values()) for i in (0, 1))
        return Counts(
            num_tokens=self._num_tokens,
            fragment_tokens=dict(self._fragment_tokens),
            num_parts=len(self._parts),
            num_rows=rows,
            num_errors=errors,
            peak_rank_bytes=self._peak_rank_bytes,
            failures=dict(self._failures),
            num_failed_writes=self._num_failed_writes,
            notes=tuple(self._notes),
        )


@dataclass(frozen=True)
class Estimate:
    """Tokens in all, from the tokens per input byte of the fragments that are annotated; None before the first."""

    num_tokens: int | None
    tokens_per_s: float

    @property
    def remaining_s(self) -> float | None:
        """Seconds to go; None where it cannot be told yet."""
        if self.num_tokens is None or self.tokens_per_s <= 0:
            return None
        return self.num_tokens / self.tokens_per_s


def estimate(counts: Counts, fragment_bytes: Mapping[str, int], history: list[tuple[float, int]]) -> Estimate:
    """Remaining tokens and the present rate.

    Args:
        fragment_bytes: input bytes of every fragment of the job, by part path.
        history: (seconds, tokens) seen so far, oldest first.
    """
    seconds = history[-1][0] - history[0][0] if history else 0.0
    rate = (history[-1][1] - history[0][1]) / seconds if seconds > 0 else 0.0
    done_bytes = sum(fragment_bytes[path] for path in counts.fragment_tokens)
    if done_bytes == 0:
        return Estimate(None, rate)
    tokens_per_byte = sum(counts.fragment_tokens.values()) / done_bytes
    total = tokens_per_byte * sum(fragment_bytes.values())
    return Estimate(max(0, round(total) - counts.num_tokens), rate)


def duration(seconds: float | None) -> str:
    """h:mm:ss, or -:--:-- where it is not known."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class ProgressDisplay:
    """A thread of the driver that shows the counter: a live line on a terminal, else a line now and then."""

    def __init__(self, counter: ActorHandle[Any], fragment_bytes: Mapping[str, int], num_rows: int) -> None:
        self._counter = counter
        self._fragment_bytes = fragment_bytes
        self._num_rows = num_rows
        self._history = [(time.monotonic(), 0)]
        self._num_notes = 0
        self._stop = threading.Event()
        self._console = Console(stderr=True)
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _show(self) -> None:
        with self._output() as (show, interval_s):
            while not self._stop.wait(interval_s):
                show(self._line())
            show(self._line())

    @contextmanager
    def _output(self) -> Iterator[tuple["_Show", float]]:
        if not self._console.is_terminal:
            yield _LogLines(self._console), _LOG_INTERVAL_S
            return
        columns = (TextColumn("annotate"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield _LiveLine(progress, len(self._fragment_bytes)), _TERMINAL_INTERVAL_S

    def _line(self) -> tuple[str, int]:
        counts: Counts = answer(self._counter.counts.remote())
        for note in counts.notes[self._num_notes :]:
            self._console.print(f"{time.strftime(_STAMP)}  annotate  {note}", highlight=False, soft_wrap=True)
        self._num_notes = len(counts.notes)
        now = time.monotonic()
        self._history.append((now, counts.num_tokens))
        while len(self._history) > 2 and self._history[1][0] < now - _RATE_WINDOW_S:
            self._history.pop(0)
        left = estimate(counts, self._fragment_bytes, self._history)
        failed = f"{len(counts.failures):,} fragments failed  " if counts.failures else ""
        text = (
            f"{counts.num_parts}/{len(self._fragment_bytes)} fragments  "
            f"{counts.num_rows:,}/{self._num_rows:,} rows  {counts.num_errors:,} errors  "
            f"{failed}{left.tokens_per_s:,.0f} tokens/s  ETA {duration(left.remaining_s)}"
        )
        return text, counts.num_parts


class _LogLines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, line: tuple[str, int]) -> None:
        self._console.print(f"{time.strftime(_STAMP)}  annotate  {line[0]}", highlight=False, soft_wrap=True)


class _LiveLine:
    def __init__(self, progress: Progress, num_fragments: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=num_fragments)

    def __call__(self, line: tuple[str, int]) -> None:
        self._progress.update(self._task, description=line[0], completed=line[1])


_Show = _LogLines | _LiveLine
