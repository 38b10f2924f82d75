"""Times of several cases, interleaved: what else the machine does meets all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch


@dataclass
class Case:
    """Something to measure.

    Attributes:
        run: does it once; it is over when the call returns (a device is waited for).
        num_tokens: that pass it in one run; 0 for a product.
        flops: useful operations of one run, see `jobs.benchmark.flops`.
        group: the part of the table it belongs to.
        baseline: name of the case that it is set in relation to.
        warms_up: whether a first run makes the others alike; not where each is a process of its own.
    """

    name: str
    run: Callable[[], object]
    num_tokens: int
    flops: int
    group: str
    baseline: str | None = None
    warms_up: bool = True
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds of a run."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    @property
    def flops_per_s(self) -> float:
        """Useful operations a second."""
        return self.flops / self.median


def measure(
    cases: Sequence[Case],
    num_rounds: int,
    *,
    device: str,
    tell: Callable[[str], object],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Run each case once to warm up, and then all of them in turn, `num_rounds` times.

    Args:
        clock: seconds; on a machine that is shared, `time.process_time` of a single thread.
    """
    tell("warming up")
    for case in cases:
        if case.warms_up:
            case.run()
    for i in range(1, num_rounds + 1):
        tell(f"round {i} of {num_rounds}")
        for case in cases:
            case.seconds.append(time_of(case.run, device, clock))


def time_of(run: Callable[[], object], device: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one run, to its end on the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = clock()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def limit_of(cases: Sequence[Case]) -> Case:
    """Of the matrix products, the fastest: what the device is known to be able to."""
    return max((case for case in cases if case.group == PRODUCTS), key=lambda case: case.flops_per_s)


PRODUCTS = "matrix product"


def ratio_to_baseline(case: Case, by_name: Mapping[str, Case]) -> float | None:
    """Median over the rounds of this case's time to its baseline's in the same round."""
    if case.baseline is None:
        return None
    pairs = zip(case.seconds, by_name[case.baseline].seconds, strict=True)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def utilisation(case: Case, limit: Case) -> float:
    """Useful operations a second over those of the limit, as the median over the rounds."""
    pairs = zip(case.seconds, limit.seconds, strict=True)
    return statistics.median(case.flops / mine / (limit.flops / theirs) for mine, theirs in pairs)
