"""The actor that counts the progress of a run: tokens, fragments, parts, failures, attempts."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self, get_args

from pipeline.failures import FragmentFailure, Stage
from pipeline.fragments import Fragment
from pipeline.monitoring.group_counts import Batches, GroupCounter, GroupCounts, ReplicaState
from pipeline.monitoring.origin import Origin
from pipeline.monitoring.repeated_failures import RepeatedFailures
from pipeline.monitoring.tallies import Tallies, Tally

STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Size:
    """A number of fragments and of their rows."""

    num_fragments: int
    num_rows: int


@dataclass(frozen=True)
class Work:
    """What a run has to do.

    Attributes:
        to_do: the fragments of this run, with at least one row each.
        num_bytes: their input bytes, at least one per fragment.
        done_before: the fragments of the job that earlier runs have done.
        job: all fragments of the job.
    """

    to_do: Size
    num_bytes: int
    done_before: Size
    job: Size

    @classmethod
    def of(cls, fragments: Iterable[Fragment], *, done_before: Size, job: Size) -> Self:
        """Sums over the fragments to do."""
        num_fragments = num_rows = num_bytes = 0
        for fragment in fragments:
            num_fragments += 1
            num_rows += fragment.num_rows
            num_bytes += counted_bytes(fragment)
        return cls(Size(num_fragments, num_rows), num_bytes, done_before, job)


def counted_bytes(fragment: Fragment) -> int:
    """The input bytes of a fragment for estimates; at least one."""
    return max(1, fragment.num_bytes)


@dataclass(frozen=True)
class Counts:
    """What has been done so far.

    Attributes:
        num_tokens: tokens that have gone through a trunk, including those of unfinished fragments.
        annotating_s: from the first fragment that a loaded model was given to the last batch that it has done.
        annotated_bytes, annotated_tokens: input bytes and tokens of annotated fragments.
        num_parts, num_rows, num_errors: of written parts.
        peak_rank_bytes: peak memory of a rank.
        failures: of this run, by part path.
        origins: of these failures, where they are known, by part path.
        notes: messages of replicas for the user, and where each happened.
        groups: the counts of each shard group, by its number.
        loaded_at, first_batch_at: when the first replica was loaded, and when its first batch was done; seconds of
            `time.monotonic` on the driver's node.
    """

    num_tokens: int = 0
    annotating_s: float = 0.0
    annotated_bytes: int = 0
    annotated_tokens: int = 0
    num_parts: int = 0
    num_rows: int = 0
    num_errors: int = 0
    peak_rank_bytes: int = 0
    failures: Mapping[str, FragmentFailure] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    notes: tuple[tuple[str, Origin], ...] = ()
    groups: Mapping[int, GroupCounts] = field(default_factory=dict, compare=False)
    loaded_at: float | None = field(default=None, compare=False)
    first_batch_at: float | None = field(default=None, compare=False)

    @property
    def num_failed_rows(self) -> int:
        """The rows of the fragments that failed."""
        return sum(failure.num_rows for failure in self.failures.values())


class Totals:
    """Sums over keys; new numbers for a key replace the old ones."""

    def __init__(self, num_sums: int) -> None:
        self.sums = [0] * num_sums
        self._values: dict[str, tuple[int, ...]] = {}

    def put(self, key: str, *values: int) -> None:
        """Set the numbers of a key."""
        before = self._values.get(key, (0,) * len(values))
        self._values[key] = values
        self.sums = [total + now - old for total, now, old in zip(self.sums, values, before, strict=True)]

    def settle(self) -> None:
        """Keep the sums only, as no key comes again."""
        self._values.clear()


class ProgressCounter:
    """The actor that workers, leaders and the sink report to."""

    def __init__(self) -> None:
        self._begun: Counter[tuple[Stage, str]] = Counter()
        self._failures: dict[str, FragmentFailure] = {}
        self._origins: dict[str, Origin] = {}
        self._notes: list[tuple[str, Origin]] = []
        self._groups = GroupCounter()
        self._repeated = RepeatedFailures()
        self._num_tokens = 0
        self._annotating_since: float | None = None
        self._annotating_s = 0.0
        self._annotated = Totals(2)
        self._parts = Totals(3)
        self._tallies = Tallies()
        self._peak_rank_bytes = 0
        self._loaded_at: float | None = None
        self._first_batch_at: float | None = None

    def finish_loading(self, group: int = 0) -> None:
        """A replica is loaded."""
        self._loaded_at = self._loaded_at or time.monotonic()
        self._groups.set_state(group, "running")

    def set_state(self, group: int, state: ReplicaState) -> None:
        """The state of a replica has changed."""
        self._groups.set_state(group, state)

    def add_batches(self, group: int, batches: Batches) -> None:
        """Batches have gone through the trunks of a group."""
        if not batches.num_tokens:
            return
        done_at = time.monotonic() - batches.age_s
        self._first_batch_at = self._first_batch_at or done_at
        self._num_tokens += batches.num_tokens
        self._groups.add_batches(group, batches)
        if self._annotating_since is not None:
            self._annotating_s = max(self._annotating_s, done_at - self._annotating_since)

    def finish_fragment(
        self,
        part_path: str,
        num_bytes: int,
        num_tokens: int,
        peak_rank_bytes: int,
        group: int,
        batches: Batches,
    ) -> None:
        """A fragment is annotated; `batches` are those of its group that nothing was told of so far."""
        self._begun.pop(("annotate", part_path), None)
        self.add_batches(group, batches)
        self._groups.add_peak(group, peak_rank_bytes)
        self._annotated.put(part_path, num_bytes, num_tokens)
        self._peak_rank_bytes = max(self._peak_rank_bytes, peak_rank_bytes)

    def finish_part(self, part_path: str, num_rows: int, num_errors: int, tally: Tally | None = None) -> None:
        """A part is written."""
        self._begun.pop(("write", part_path), None)
        self._parts.put(part_path, 1, num_rows, num_errors)
        self._tallies.put(part_path, tally or Tally())
        self._failures.pop(part_path, None)
        self._origins.pop(part_path, None)
        self._repeated.reset()

    def fail_fragment(self, failure: FragmentFailure) -> str | None:
        """A fragment has failed; returns why the run has to end, or None."""
        self._failures[failure.part_path] = failure
        return self._repeated.add(failure)

    def note(self, text: str, origin: Origin | None = None) -> None:
        """Keep a message for the user; of a fragment that is annotated, with the number of the attempt."""
        origin = origin or Origin()
        if origin.fragment is not None:
            origin = replace(origin, attempt=self._begun["annotate", origin.fragment] or None)
        self._notes.append((text, origin))

    def begin(self, stage: Stage, part_path: str) -> int:
        """A stage of a fragment begins; returns the number of its attempts without an end, including this one.

        The stage before has ended then, which saves its message.
        """
        self._begun[stage, part_path] += 1
        if stage in ("encode", "annotate"):
            self._begun.pop((STAGES[STAGES.index(stage) - 1], part_path), None)
        if stage == "annotate" and self._annotating_since is None:
            self._annotating_since = time.monotonic()
        return self._begun[stage, part_path]

    def end(self, stage: Stage, part_path: str, failed_on: str | None = None) -> None:
        """The stage has ended, and its process is alive; `failed_on` is the node where the fragment failed.

        Needed where nothing else tells it: `begin` of the next stage, `finish_fragment` and `finish_part` do.
        """
        num_attempts = self._begun.pop((stage, part_path), None)
        if failed_on is not None:
            self._origins[part_path] = Origin(part_path, num_attempts, failed_on)

    def settle(self) -> None:
        """All tasks of the fragments so far have ended, so their names are not needed."""
        self._begun.clear()
        self._annotated.settle()
        self._parts.settle()
        self._tallies.settle()

    def end_replicas(self) -> None:
        """The run has ended, and its leaders with it."""
        self._groups.end_all()

    def tally(self) -> Tally:
        """The errors, labels and windows of the parts so far; apart from the counts, which are asked for often."""
        return self._tallies.total()

    def counts(self) -> Counts:
        """The current counts."""
        num_bytes, num_tokens = self._annotated.sums
        num_parts, num_rows, num_errors = self._parts.sums
        return Counts(
            num_tokens=self._num_tokens,
            annotating_s=self._annotating_s,
            annotated_bytes=num_bytes,
            annotated_tokens=num_tokens,
            num_parts=num_parts,
            num_rows=num_rows,
            num_errors=num_errors,
            peak_rank_bytes=self._peak_rank_bytes,
            failures=dict(self._failures),
            origins=dict(self._origins),
            notes=tuple(self._notes),
            groups=self._groups.groups(),
            loaded_at=self._loaded_at,
            first_batch_at=self._first_batch_at,
        )
