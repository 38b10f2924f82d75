"""Count how often a stage of a fragment was begun and not ended, because its process died."""

from collections import Counter

from pipeline.failures import Stage


class AttemptCounter:
    """Which stages of which fragments have been begun and not ended. Pure: an actor holds it."""

    def __init__(self) -> None:
        self._begun: Counter[tuple[Stage, str]] = Counter()

    def begin(self, stage: Stage, part_path: str) -> int:
        """The number of this attempt, from 1 on; attempts that have ended do not count."""
        self._begun[stage, part_path] += 1
        return self._begun[stage, part_path]

    def end(self, stage: Stage, part_path: str) -> None:
        """The stage has ended, well or not, and its process is alive."""
        self._begun.pop((stage, part_path), None)
