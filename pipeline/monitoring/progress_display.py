"""Show the progress of a run: a live line on a terminal, otherwise a log line now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from ray.actor import ActorHandle
from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.monitoring.estimates import Rate, remaining_s, what_is_left
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.monitoring.progress_counter import Counts, Work
from pipeline.monitoring.progress_line import Progress, fitting_line, full_line
from pipeline.ray_actors import get_result

_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 15.0
MAX_TOLD_FAILURES = 20


class ProgressDisplay:
    """A thread of the driver that shows what the progress actor counts, and ends the phases that it knows of."""

    def __init__(self, counter: ActorHandle[Any], work: Work, messages: Messages, phases: Phases) -> None:
        self._counter = counter
        self._work = work
        self._messages = messages
        self._phases = phases
        self._tokens, self._rows = Rate(), Rate()
        self._num_notes = 0
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        logged = time.monotonic()
        with _live_line(is_live=self._messages.is_live) as (show, width):
            is_over = False
            while not is_over:
                is_over = self._stop.wait(_INTERVAL_S)
                counts: Counts = get_result(self._counter.counts.remote())
                self._tell_news(counts)
                progress = self._progress(counts)
                current = None if counts.num_tokens else self._phases.current
                show(current or fitting_line(progress, width()))
                if is_over or time.monotonic() > logged + _LOG_INTERVAL_S:
                    logged = time.monotonic()
                    self._messages.progress(f"annotate  {current or full_line(progress)}")

    def _tell_news(self, counts: Counts) -> None:
        """Tell new notes, in a log the first fragments that failed, and the phases that have ended."""
        for note, origin in counts.notes[self._num_notes :]:
            self._messages.note(f"annotate  {note}", origin)
        self._num_notes = len(counts.notes)
        for part_path, failure in list(counts.failures.items())[:MAX_TOLD_FAILURES]:
            if part_path not in self._told and not self._messages.is_live:
                self._told.add(part_path)
                self._messages.note(f"annotate  gave up {failure}", counts.origins.get(part_path))
        if counts.loaded_at is not None and "loading the model" not in self._phases.seconds:
            self._phases.begin("first batch", counts.loaded_at)
        if counts.first_batch_at is not None and "first batch" not in self._phases.seconds:
            self._phases.begin("annotating", counts.first_batch_at)

    def _progress(self, counts: Counts) -> Progress:
        now, before, job = time.monotonic(), self._work.done_before, self._work.job
        self._tokens.add(now, counts.num_tokens)
        self._rows.add(now, counts.num_rows)
        left = what_is_left(counts, self._work)
        states = [group.state for group in counts.groups.values()]
        return Progress(
            num_fragments=before.num_fragments + counts.num_parts,
            total_fragments=job.num_fragments,
            num_rows=before.num_rows + counts.num_rows,
            total_rows=job.num_rows,
            num_errors=counts.num_errors,
            num_failed=len(counts.failures),
            tokens_per_s=self._tokens.recent,
            remaining_s=remaining_s(left, self._tokens.usual, self._rows.usual),
            num_running=states.count("running"),
            num_replicas=len(states),
        )


@contextmanager
def _live_line(*, is_live: bool) -> Iterator[tuple[Callable[[str], None], Callable[[], int]]]:
    """What draws a line again and again, and what tells the width of the terminal; nothing if not `is_live`."""
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if not is_live:
        yield lambda line: None, lambda: console.width
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield (
            lambda line: live.update(Text(line, no_wrap=True, overflow="crop"), refresh=True),
            lambda: console.width,
        )
