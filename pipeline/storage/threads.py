"""Send many requests to a store at once: `map` with threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

NUM_THREADS = 32
_NUM_AT_ONCE = 4096

A = TypeVar("A")
B = TypeVar("B")


def map_in_threads(function: Callable[[A], B], values: Iterable[A]) -> Iterator[B]:
    """The results in order; a few thousand values are taken at a time."""
    iterator = iter(values)
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        while some := list(islice(iterator, _NUM_AT_ONCE)):
            yield from pool.map(function, some)


def call_in_threads(function: Callable[[A], object], values: Iterable[A]) -> None:
    """Call a function with each value; raises the error of the first value with one."""
    deque(map_in_threads(function, values), maxlen=0)
