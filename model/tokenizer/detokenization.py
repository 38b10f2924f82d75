"""Tokens back to text."""

from collections.abc import Sequence

from model.tokenizer.character_offsets import METASPACE

# What English detokenisation puts right, in this order (Transformers, clean_up_tokenization).
CLEAN_UPS = (
    *((f" {mark}", mark) for mark in ".?!,"),
    (" ' ", "'"),
    *((f" {ending}", ending) for ending in ("n't", "'m", "'s", "'ve", "'re")),
)


def join_tokens(tokens: Sequence[str]) -> str:
    """The text of token strings, blanks at its ends taken away."""
    return "".join(tokens).replace(METASPACE, " ").strip()


def clean_up(out_string: str) -> str:
    """Takes away the blanks before English punctuation and contracted endings."""
    for found, wanted in CLEAN_UPS:
        out_string = out_string.replace(found, wanted)
    return out_string
