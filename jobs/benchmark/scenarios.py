"""The sequence lengths of each scenario, drawn from log-normal distributions or taken from a corpus."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import XLMRobertaXLTokenizer

MAX_LENGTH = 512
PARAGRAPH_SOURCES = ("xquad-para", "mlqa-para", "tydiqa-passage")
# Documents to tokenize for a scenario, more than any token budget needs.
_MAX_DOCUMENTS = 3000


@dataclass(frozen=True)
class LengthDistribution:
    """A log-normal distribution of lengths in tokens, special ones included, clipped to [minimum, maximum]."""

    median: float
    sigma: float
    minimum: int
    maximum: int

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw the lengths of `count` texts."""
        lengths = rng.lognormal(np.log(self.median), self.sigma, count)
        return np.clip(np.rint(lengths), self.minimum, self.maximum).astype(np.int64)


SHORT = LengthDistribution(median=11, sigma=0.45, minimum=4, maximum=80)
PARAGRAPHS = LengthDistribution(median=165, sigma=0.55, minimum=10, maximum=MAX_LENGTH)
LONG = LengthDistribution(median=3700, sigma=0.4, minimum=500, maximum=20_000)
# Shares of documents; long ones are cut into windows.
MIXTURE = ((SHORT, 0.55), (PARAGRAPHS, 0.44), (LONG, 0.01))
SCENARIOS = ("short", "paragraphs", "mixture", "windows")


def draw_lengths(scenario: str, num_tokens: int, seed: int = 0) -> list[int]:
    """Draw sequences of a scenario in the order of arrival, as many as `num_tokens` allows.

    Args:
        scenario: "short"; "paragraphs" (mean about 190); "mixture" (by document: 55 % short, 44 % paragraphs,
            1 % long, cut into windows of 512); "windows" (512 tokens each).
    """
    rng = np.random.default_rng(seed)
    count = num_tokens // 4 + 1
    if scenario == "windows":
        lengths = np.full(count, MAX_LENGTH)
    elif scenario == "mixture":
        kinds = rng.choice(len(MIXTURE), size=count, p=[share for _, share in MIXTURE])
        drawn = np.stack([distribution.draw(rng, count) for distribution, _ in MIXTURE])
        lengths = drawn[kinds, np.arange(count)]
    else:
        lengths = {"short": SHORT, "paragraphs": PARAGRAPHS}[scenario].draw(rng, count)
    return fill(into_windows(lengths.tolist()), num_tokens)


def corpus_lengths(scenario: str, num_tokens: int, corpus: Path, tokenizer: XLMRobertaXLTokenizer) -> list[int]:
    """The same for texts of Parquet files with the columns source and text, in a random order."""
    import pyarrow.dataset as ds  # noqa: PLC0415  # the rest of the benchmark does not need Arrow

    sources = {"short": ("tatoeba",), "paragraphs": PARAGRAPH_SOURCES}.get(scenario)
    chosen = None if sources is None else ds.field("source").isin(sources)
    if scenario == "windows":
        return draw_lengths(scenario, num_tokens)
    texts = ds.dataset(corpus).to_table(columns=["text"], filter=chosen)["text"]
    order = np.random.default_rng(0).permutation(len(texts))[:_MAX_DOCUMENTS]
    encoded = tokenizer.encode_batch(texts.take(order).to_pylist(), max_length=None)
    return fill(into_windows(np.diff(encoded.row_offsets).tolist()), num_tokens)


def into_windows(lengths: list[int]) -> list[int]:
    """Cut longer texts into windows of `MAX_LENGTH` tokens and a last one with the rest."""
    windows = []
    for length in lengths:
        full, rest = divmod(length, MAX_LENGTH)
        windows += [MAX_LENGTH] * full + ([rest] if rest else [])
    return windows


def fill(lengths: list[int], num_tokens: int) -> list[int]:
    """The first sequences, as many as fit into `num_tokens`, at least one."""
    count = int(np.searchsorted(np.cumsum(lengths), num_tokens, side="right"))
    return lengths[: max(1, count)]
