"""Count what parts hold: rows with errors by kind, results and labels by head, and windows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.row_errors import ErrorKind, in_order


@dataclass(frozen=True)
class Tally:
    """Counts over rows: `errors` by kind, `results` by head, and `labels` by head, the most frequent first."""

    num_windows: int = 0
    errors: Mapping[ErrorKind, int] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    results: Mapping[str, int] = field(default_factory=dict)

    def most_frequent(self, num_labels: int) -> dict[str, dict[str, int]]:
        """So many labels of each head."""
        return {head: dict(list(counts.items())[:num_labels]) for head, counts in self.labels.items()}


class Tallies:
    """The sum over parts; a new tally of a part replaces the old one."""

    def __init__(self) -> None:
        self._sum: Counter[tuple[str, ...]] = Counter()
        self._parts: dict[str, Counter[tuple[str, ...]]] = {}

    def put(self, part_path: str, tally: Tally) -> None:
        """Set the tally of a part."""
        self._sum.subtract(self._parts.get(part_path, ()))
        self._parts[part_path] = _flat(tally)
        self._sum.update(self._parts[part_path])

    def settle(self) -> None:
        """Keep the sum only, as no part comes again."""
        self._parts.clear()

    def total(self) -> Tally:
        """The tally of all parts."""
        labels: dict[str, dict[str, int]] = {}
        # Labels of equal count in the order of their names, whichever part came first.
        for key, count in sorted(self._sum.items(), key=lambda item: (-item[1], item[0])):
            if key[0] == "label" and count > 0:
                labels.setdefault(key[1], {})[key[2]] = count
        return Tally(
            num_windows=self._sum["windows",],
            errors=in_order({kind: self._sum["error", kind] for kind in ErrorKind}),
            labels=labels,
            results={key[1]: count for key, count in self._sum.items() if key[0] == "result" and count},
        )


def _flat(tally: Tally) -> "Counter[tuple[str, ...]]":
    counts: Counter[tuple[str, ...]] = Counter({("windows",): tally.num_windows})
    counts.update({("error", kind): count for kind, count in tally.errors.items()})
    counts.update({("result", head): count for head, count in tally.results.items()})
    for head, labels in tally.labels.items():
        counts.update({("label", head, label): count for label, count in labels.items()})
    return counts
