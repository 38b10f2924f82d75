"""Lay out the progress of a run as one line: as much of it as fits into a terminal."""

from dataclasses import dataclass

from pipeline.storage.printable import number_of

_GAP = "  "
_MIN_BAR, _MAX_BAR = 10, 40


@dataclass(frozen=True)
class Progress:
    """The progress of the whole job, including what was done before this run.

    `num_running` of the `num_replicas` compute; the others load the model, are rebuilt, or wait for room.
    """

    num_fragments: int
    total_fragments: int
    num_rows: int
    total_rows: int
    num_errors: int
    num_failed: int
    tokens_per_s: float
    remaining_s: float | None
    num_running: int = 0
    num_replicas: int = 0

    def share_of(self, whole: int) -> int:
        """The share of `whole` that the done rows are of all rows, rounded down."""
        return whole * self.num_rows // self.total_rows if self.total_rows else whole


def full_line(progress: Progress) -> str:
    """Everything, for a log."""
    return _GAP.join(_fields(progress).values())


def fitting_line(progress: Progress, width: int) -> str:
    """What fits into `width` characters, the most important fields first, and a bar if there is room for one."""
    fields = {"share": f"{progress.share_of(100)}%"} | _fields(progress)
    # From the most to the least important.
    ranking = ("share", "ETA", "failed", "replicas", "fragments", "tokens", "rows", "errors")
    shown: set[str] = set()
    for name in ranking:
        if name in fields and _width(fields, shown | {name}) <= width:
            shown.add(name)
    bar_size = min(_MAX_BAR, width - _width(fields, shown) - len(_GAP))
    line = _GAP.join(text for name, text in fields.items() if name in shown)
    if bar_size < _MIN_BAR:
        return line
    num_full = progress.share_of(bar_size)
    return f"{'━' * num_full}{'─' * (bar_size - num_full)}{_GAP}{line}"


def duration(seconds: float | None) -> str:
    """h:mm:ss, or -:--:-- if not known."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _fields(progress: Progress) -> dict[str, str]:
    """The text of each field, in the order in which they are shown."""
    failed = {"failed": f"{number_of(progress.num_failed, 'fragment')} failed"} if progress.num_failed else {}
    replicas = {}
    if progress.num_running < progress.num_replicas:
        replicas["replicas"] = f"{progress.num_running} of {progress.num_replicas} replicas"
    return {
        "fragments": f"{progress.num_fragments:,}/{progress.total_fragments:,} fragments",
        "rows": f"{progress.num_rows:,}/{progress.total_rows:,} rows",
        "errors": number_of(progress.num_errors, "error"),
        **failed,
        **replicas,
        "tokens": f"{progress.tokens_per_s:,.0f} tokens/s",
        "ETA": f"ETA {duration(progress.remaining_s)}",
    }


def _width(fields: dict[str, str], names: set[str]) -> int:
    return sum(len(fields[name]) for name in names) + len(_GAP) * max(0, len(names) - 1)
