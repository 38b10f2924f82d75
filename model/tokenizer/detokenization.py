"""Convert tokens back to text."""

from collections.abc import Sequence

from model.tokenizer.character_offsets import METASPACE

# Replacements of English detokenization, in this order (clean_up_tokenization of Transformers).
CLEAN_UPS = (
    *((f" {mark}", mark) for mark in ".?!,"),
    (" ' ", "'"),
    *((f" {ending}", ending) for ending in ("n't", "'m", "'s", "'ve", "'re")),
)


def join_tokens(tokens: Sequence[str]) -> str:
    """The text of token strings, without blanks at its ends."""
    return "".join(tokens).replace(METASPACE, " ").strip()


def clean_up(out_string: str) -> str:
    """Remove blanks before English punctuation and contractions."""
    for found, wanted in CLEAN_UPS:
        out_string = out_string.replace(found, wanted)
    return out_string
