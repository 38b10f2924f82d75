"""Show the progress of a run: a live line on a terminal, otherwise a log line now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from ray.actor import ActorHandle
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.monitoring.progress_counter import Counts, Work
from pipeline.ray_actors import get_result

_TERMINAL_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 15.0
_STAMP = "%Y-%m-%d %H:%M:%S"
# The rate is measured over the last minute, so that it follows a cluster that grows or shrinks.
_RATE_WINDOW_S = 60.0


@dataclass(frozen=True)
class Estimate:
    """Remaining tokens, extrapolated from annotated fragments by input bytes; None before the first one."""

    num_tokens: int | None
    tokens_per_s: float

    @property
    def remaining_s(self) -> float | None:
        """Remaining seconds, or None if not known yet."""
        if self.num_tokens is None or self.tokens_per_s <= 0:
            return None
        return self.num_tokens / self.tokens_per_s


def estimate(counts: Counts, num_bytes: int, history: list[tuple[float, int]]) -> Estimate:
    """Remaining tokens of `num_bytes` of input, and the current rate by a history of (seconds, tokens)."""
    seconds = history[-1][0] - history[0][0] if history else 0.0
    rate = (history[-1][1] - history[0][1]) / seconds if seconds > 0 else 0.0
    if counts.annotated_bytes == 0:
        return Estimate(None, rate)
    total = counts.annotated_tokens / counts.annotated_bytes * num_bytes
    return Estimate(max(0, round(total) - counts.num_tokens), rate)


def duration(seconds: float | None) -> str:
    """h:mm:ss, or -:--:-- if not known."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class ProgressDisplay:
    """A thread of the driver that shows the counts of the progress actor."""

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

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _show(self) -> None:
        with self._output() as (show, interval_s):
            while not self._stop.wait(interval_s):
                show(*self._line())
            show(*self._line())

    @contextmanager
    def _output(self) -> Iterator[tuple[Callable[[str, int], None], float]]:
        """What shows a line and the number of parts, and how often it is to be called."""
        if not self._console.is_terminal:
            yield lambda text, _: self._log(text), _LOG_INTERVAL_S
            return
        columns = (TextColumn("annotate"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("", total=self._work.num_fragments)
            yield (
                lambda text, num_parts: progress.update(task, description=text, completed=num_parts),
                _TERMINAL_INTERVAL_S,
            )

    def _log(self, text: str) -> None:
        self._console.print(f"{time.strftime(_STAMP)}  annotate  {text}", highlight=False, soft_wrap=True)

    def _line(self) -> tuple[str, int]:
        counts: Counts = get_result(self._counter.counts.remote())
        for note in counts.notes[self._num_notes :]:
            self._log(note)
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
