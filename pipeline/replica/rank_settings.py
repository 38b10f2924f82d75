"""Device and precision of a rank."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RankSettings:
    """Device and precision of a rank.

    Attributes:
        device: "cpu" or "cuda".
        dtype: torch dtype of the weights; or "int8" or "float8" for the matrix products of the layers.
        num_threads: of torch on the CPU.
        num_usable_tokens: size of the tokenizer's vocabulary; ids from here on are never predicted.
    """

    device: str
    dtype: str
    num_threads: int
    num_usable_tokens: int
