"""The best answer of all windows of a context, by brute force."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from tests.parity.tasks.reference import EOS, Reference, framed_windows

Span = tuple[float, int, int]
"""Score, first and last token."""


class Answer(NamedTuple):
    """`score` of the best span, `next_score` of the one behind it; `first`, `last`: its tokens in the context."""

    score: float
    next_score: float
    first: int
    last: int
    null_score: float


def best_answer(
    reference: Reference, question: str, context: str, max_tokens: int, *, window: int = 512, stride: int = 128
) -> Answer:
    """A span begins with a token that its window owns, and ends in the same window."""
    prefix = [*reference.ids(question), EOS]
    spans: list[Span] = []
    null_scores = []
    for ids, shown in framed_windows(reference.body(context), window, stride, prefix=prefix):
        starts, ends = reference.start_and_end(ids)
        null_scores.append(float(starts[0] + ends[0]))
        body = slice(len(prefix), -1)
        found = best_spans(starts[body], ends[body], max_tokens)
        moved = ((score, first + shown.begin, last + shown.begin) for score, first, last in found)
        spans += islice((span for span in moved if span[1] in shown.owned), 2)
    best, following = sorted(spans, reverse=True)[:2]
    return Answer(best[0], following[0], *best[1:], min(null_scores))


def best_spans(starts: np.ndarray, ends: np.ndarray, max_tokens: int) -> Iterator[Span]:
    """All spans of at most so many tokens, the best first."""
    scores = starts[:, None] + ends[None, :]
    length = np.arange(len(ends))[None, :] - np.arange(len(starts))[:, None] + 1
    scores[(length < 1) | (length > max_tokens)] = -np.inf
    for flat in np.argsort(-scores, axis=None, kind="stable"):
        first, last = np.unravel_index(flat, scores.shape)
        yield float(scores[first, last]), int(first), int(last)
