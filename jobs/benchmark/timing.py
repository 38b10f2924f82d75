"""Time several cases in interleaved rounds, so that other load on the machine affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch


@dataclass
class Case:
    """A function to time.

    Attributes:
        run: the function; its time ends when the device is done.
        num_tokens: tokens per run; 0 for a product.
        flops: useful operations per run, see `jobs.benchmark.flops`.
        group: the section of the table.
        baseline: name of the case that its time is compared with.
        warms_up: whether to run it once before the rounds; not if each run is a process of its own.
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
        """Median seconds per run."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    @property
    def flops_per_s(self) -> float:
        """Useful operations per second."""
        return self.flops / self.median


def measure(
    cases: Sequence[Case],
    num_rounds: int,
    *,
    device: str,
    tell: Callable[[str], object],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Run each case once to warm up, then all cases in turn, `num_rounds` times.

    Args:
        clock: returns seconds; `time.process_time` of a single thread on a shared machine.
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
    """Seconds of one run, until the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = clock()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def limit_of(cases: Sequence[Case]) -> Case:
    """The fastest matrix product, which is the limit of the device."""
    return max((case for case in cases if case.group == PRODUCTS), key=lambda case: case.flops_per_s)


PRODUCTS = "matrix product"


def ratio_to_baseline(case: Case, by_name: Mapping[str, Case]) -> float | None:
    """Median over the rounds of the ratio of this case's time to its baseline's in the same round."""
    if case.baseline is None:
        return None
    pairs = zip(case.seconds, by_name[case.baseline].seconds, strict=True)
    return statistics.median(mine / theirs for mine, theirs in pairs)


def utilisation(case: Case, limit: Case) -> float:
    """Median over the rounds of the ratio of useful operations per second to those of the limit."""
    pairs = zip(case.seconds, limit.seconds, strict=True)
    return statistics.median(case.flops / mine / (limit.flops / theirs) for mine, theirs in pairs)
