"""Heads that were tried, and which one is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from jobs.fit.search.options import HeadKind


@dataclass(frozen=True)
class Candidate:
    """A head that was tried.

    Attributes:
        layers: one, or those of the mix.
        penalty: of its weights.
        metric: on the part "choose"; more is better.
        standard_error: of the metric, by bootstrap over groups.
        loss: mean of a row of that part.
        num_parameters: numbers that the head holds.
        num_passes: over the rows fitted on.
        seconds: that fitting took, without reading the features.
    """

    kind: HeadKind
    layers: tuple[int, ...]
    penalty: float
    metric: float
    standard_error: float
    loss: float
    num_parameters: int
    num_passes: int
    seconds: float

    @property
    def name(self) -> str:
        """What it is, for people: "linear on layer 20"."""
        return f"{self.kind} on {layers_text(self.layers)}"


class Tried(Protocol):
    """What carries a candidate."""

    @property
    def candidate(self) -> Candidate:
        """The candidate."""


AnyTried = TypeVar("AnyTried", bound=Tried)


def layers_text(layers: Sequence[int]) -> str:
    """A layer, or several that are mixed, for people."""
    if len(layers) == 1:
        return f"layer {layers[0]}"
    return f"a mix of layers {', '.join(map(str, layers))}"


def search_penalties(
    penalties: Sequence[float], max_extensions: int, try_one: Callable[[float, AnyTried | None], AnyTried]
) -> list[AnyTried]:
    """Try penalties from the greatest down, and go on beyond an edge by factors of 10 while the best one is there.

    Args:
        penalties: the grid.
        max_extensions: beyond each of its edges.
        try_one: fits with a penalty; it is given the nearest fit there is.
    """
    tried: dict[float, AnyTried] = {}
    before: AnyTried | None = None
    for penalty in sorted(penalties, reverse=True):
        before = tried[penalty] = try_one(penalty, before)
    for factor, edge in ((10.0, max), (0.1, min)):
        for _ in range(max_extensions):
            last = edge(tried)
            if best(list(tried.values())) is not tried[last]:
                break
            tried[last * factor] = try_one(last * factor, tried[last])
    return list(tried.values())


def best(tried: Sequence[AnyTried]) -> AnyTried:
    """The one with the greatest metric, of equal ones that with the least loss."""
    return max(tried, key=lambda each: (each.candidate.metric, -each.candidate.loss))


def simplest_within_one_error(tried: Sequence[AnyTried]) -> AnyTried:
    """The simplest one that is at most a standard error below the best one.

    Simple is what holds fewer numbers. Of equally simple ones, such as those on single layers, the best is taken.
    Source: Breiman et al., Classification and Regression Trees (1984), section 3.4.3.
    """
    top = best(tried).candidate
    near = [each for each in tried if each.candidate.metric >= top.metric - top.standard_error]
    fewest = min(each.candidate.num_parameters for each in near)
    return best([each for each in near if each.candidate.num_parameters == fewest])
