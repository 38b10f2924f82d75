"""How far a job is: counted by an actor, shown on a terminal or as plain lines in a log."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ray.actor import ActorHandle
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.failures import FragmentFailure, Stage
from pipeline.fragments import Fragment
from pipeline.ray_actors import answer
from pipeline.stages.attempts import Tries

_TERMINAL_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 15.0
_STAMP = "%Y-%m-%d %H:%M:%S"
# The rate is that of the last minute, so that the estimate follows a cluster that grows or shrinks.
_RATE_WINDOW_S = 60.0


@dataclass(frozen=True)
class Work:
    """What there is to do: fragments, their rows, and their input bytes, at least one each."""

    num_fragments: int
    num_rows: int
    num_bytes: int

    @classmethod
    def of(cls, fragments: Iterable[Fragment]) -> Self:
        """Sums over fragments."""
        sizes = [(1, fragment.num_rows, counted_bytes(fragment)) for fragment in fragments]
        return cls(*(sum(column) for column in zip(*sizes, strict=True)))


def counted_bytes(fragment: Fragment) -> int:
    """The input bytes that a fragment counts for in estimates; at least one."""
    return max(1, fragment.num_bytes)


@dataclass(frozen=True)
class Counts:
    """What has been done so far.

    Attributes:
        num_tokens: tokens that have passed a trunk, those of unfinished fragments too.
        annotated_bytes, annotated_tokens: input bytes and tokens of the fragments that are annotated.
        num_parts, num_rows, num_errors: of parts that are in place.
        peak_rank_bytes: most memory that a rank has held while it computed.
        failures: of this run, by part path.
        num_failed_writes: parts that could not be written since the last one that could.
        notes: what replicas had to tell, in order.
    """

    num_tokens: int = 0
    annotated_bytes: int = 0
    annotated_tokens: int = 0
    num_parts: int = 0
    num_rows: int = 0
    num_errors: int = 0
    peak_rank_bytes: int = 0
    failures: Mapping[str, FragmentFailure] = field(default_factory=dict)
    num_failed_writes: int = 0
    notes: tuple[str, ...] = ()


class Totals:
    """Sums of numbers by key; what comes again for a key takes the place of what was there."""

    def __init__(self, num_sums: int) -> None:
        self.sums = [0] * num_sums
        self._values: dict[str, tuple[int, ...]] = {}

    def put(self, key: str, *values: int) -> None:
        """The numbers of a key."""
        before = self._values.get(key, (0,) * len(values))
        self._values[key] = values
        self.sums = [total + now - old for total, now, old in zip(self.sums, values, before, strict=True)]

    def settle(self) -> None:
        """Forget the keys, and keep the sums: none of them comes again."""
        self._values.clear()


class ProgressCounter:
    """An actor that workers, leaders and the sink report to."""

    def __init__(self) -> None:
        self._tries = Tries()
        self._failures: dict[str, FragmentFailure] = {}
        self._num_failed_writes = 0
        self._notes: list[str] = []
        self._num_tokens = 0
        self._annotated = Totals(2)
        self._parts = Totals(3)
        self._peak_rank_bytes = 0

    def add_tokens(self, num_tokens: int) -> None:
        """A batch has passed the trunk."""
        self._num_tokens += num_tokens

    def finish_fragment(self, part_path: str, num_bytes: int, num_tokens: int, peak_rank_bytes: int) -> None:
        """A fragment of so many input bytes is annotated."""
        self._annotated.put(part_path, num_bytes, num_tokens)
        self._peak_rank_bytes = max(self._peak_rank_bytes, peak_rank_bytes)

    def finish_part(self, part_path: str, num_rows: int, num_errors: int) -> None:
        """A part is in place."""
        self._parts.put(part_path, 1, num_rows, num_errors)
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

    def settle(self) -> None:
        """No task of the fragments so far runs any more, so that their names need not be kept."""
        self._annotated.settle()
        self._parts.settle()

    def counts(self) -> Counts:
        """All of it."""
        num_bytes, num_tokens = self._annotated.sums
        num_parts, num_rows, num_errors = self._parts.sums
        return Counts(
            num_tokens=self._num_tokens,
            annotated_bytes=num_bytes,
            annotated_tokens=num_tokens,
            num_parts=num_parts,
            num_rows=num_rows,
            num_errors=num_errors,
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


def estimate(counts: Counts, num_bytes: int, history: list[tuple[float, int]]) -> Estimate:
    """Remaining tokens and the present rate.

    Args:
        num_bytes: input bytes of the job.
        history: (seconds, tokens) seen so far, oldest first.
    """
    seconds = history[-1][0] - history[0][0] if history else 0.0
    rate = (history[-1][1] - history[0][1]) / seconds if seconds > 0 else 0.0
    if counts.annotated_bytes == 0:
        return Estimate(None, rate)
    total = counts.annotated_tokens / counts.annotated_bytes * num_bytes
    return Estimate(max(0, round(total) - counts.num_tokens), rate)


def duration(seconds: float | None) -> str:
    """h:mm:ss, or -:--:-- where it is not known."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class ProgressDisplay:
    """A thread of the driver that shows the counter: a live line on a terminal, else a line now and then."""

    def __init__(self, counter: ActorHandle[Any], work: Work) -> None:
        self._counter = counter
        self._work = work
        self._history = [(time.monotonic(), 0)]
        self._num_notes = 0
        self._stop = threading.Event()
        self._console = Console(stderr=True, markup=False, emoji=False)
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
            yield _LiveLine(progress, self._work.num_fragments), _TERMINAL_INTERVAL_S

    def _line(self) -> tuple[str, int]:
        counts: Counts = answer(self._counter.counts.remote())
        for note in counts.notes[self._num_notes :]:
            self._console.print(f"{time.strftime(_STAMP)}  annotate  {note}", highlight=False, soft_wrap=True)
        self._num_notes = len(counts.notes)
        now = time.monotonic()
        self._history.append((now, counts.num_tokens))
        while len(self._history) > 2 and self._history[1][0] < now - _RATE_WINDOW_S:
            self._history.pop(0)
        left = estimate(counts, self._work.num_bytes, self._history)
        failed = f"{len(counts.failures):,} fragments failed  " if counts.failures else ""
        text = (
            f"{counts.num_parts:,}/{self._work.num_fragments:,} fragments  "
            f"{counts.num_rows:,}/{self._work.num_rows:,} rows  {counts.num_errors:,} errors  "
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
