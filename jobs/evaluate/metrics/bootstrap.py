"""Seeded percentile bootstrap over rows or over groups of rows.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.evaluate.metrics.weighted import Floats, Metric

_BLOCK_SIZE = 2**22  # weights at a time: 32 MiB of float64


@dataclass(frozen=True)
class Draws:
    """Which rows each resample holds: the same in every process and however often it is asked.

    Subsets whose rows are translations of one another take equal draws, so that the interval of their mean is
    right; unrelated subsets take a stream each.

    Attributes:
        num_rows: rows of the subset.
        groups: the group of each row, such as its paragraph; whole groups are then drawn, as many as there are.
            Equal partitions give equal draws, whatever the groups are called.
        num_resamples: resamples.
        seed: of the random numbers.
        stream: other streams of one seed are independent.
    """

    num_rows: int
    groups: Sequence[Hashable] | None = None
    num_resamples: int = 1000
    seed: int = 0
    stream: str = ""

    def weights(self) -> Iterator[Floats]:
        """How often each row is drawn, in blocks of resamples `[resamples, num_rows]`."""
        generator = np.random.default_rng([self.seed, *self.stream.encode()])
        codes = None if self.groups is None else _group_codes(self.groups)
        num_units = self.num_rows if codes is None else int(codes.max(initial=-1)) + 1
        block_size = max(1, _BLOCK_SIZE // max(1, self.num_rows))
        for start in range(0, self.num_resamples, block_size):
            weights = np.empty((min(block_size, self.num_resamples - start), num_units))
            for row in weights:
                row[:] = np.bincount(generator.integers(num_units, size=num_units), minlength=num_units)
            yield weights if codes is None else weights[:, codes]


def resample(metrics: Sequence[Metric], draws: Draws) -> Floats:
    """Each metric of each resample: `[len(metrics), draws.num_resamples]`.

    Metrics of the same rows, or of parallel rows, are given together, since drawing takes most of the time.

    Raises:
        ValueError: a metric is over another number of rows than the draws.
    """
    for metric in metrics:
        if metric.num_rows != draws.num_rows:
            raise ValueError(
                f"a metric over {metric.num_rows} rows, but draws of {draws.num_rows}: use draws of its own"
            )
    blocks = [np.stack([metric.of_weights(weights) for metric in metrics]) for weights in draws.weights()]
    return np.concatenate(blocks, axis=1)


def interval(resampled: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of a metric's resamples `[R]`."""
    low, high = np.quantile(np.asarray(resampled), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _group_codes(groups: Sequence[Hashable]) -> NDArray[np.int64]:
    """The number of each row's group, in order of first appearance."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(group, len(codes)) for group in groups], dtype=np.int64)
