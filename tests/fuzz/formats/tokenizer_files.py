"""`tokenizer_config.json`, `added_tokens.json` and `special_tokens_map.json`."""

import json
import random
from typing import Any

from model.tokenizer.special_tokens import SPECIAL_TOKENS_MAP
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.fuzz.folders import model_folder, put
from tests.fuzz.mutations import json_bytes
from tests.fuzz.outcome import refusals

_MASK = {"content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
_FILES: dict[str, dict[str, Any]] = {
    "tokenizer_config.json": {
        **SPECIAL_TOKENS_MAP, "mask_token": {"__type": "AddedToken", **_MASK}, "model_max_length": 512,
        "padding_side": "right", "truncation_side": "left", "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {"0": {"content": "<s>", "special": True}, "601": {**_MASK, "special": True}},
        "additional_special_tokens": [], "tokenizer_class": "XLMRobertaTokenizer", "sp_model_kwargs": {},
    },
    "added_tokens.json": {"<mask>": 601},
    "special_tokens_map.json": {**SPECIAL_TOKENS_MAP, "mask_token": _MASK},
}  # fmt: skip
NAMES = (
    *_FILES["tokenizer_config.json"],
    "content",
    "<x>",
    "__type",
    "name_or_path",
    "vocab_file",
    "0",
    "\ud800",
    "",
)


def mutate(rng: random.Random) -> dict[str, bytes]:
    """The files by name, of which some are left out and one is mutated."""
    chosen = rng.choice(list(_FILES))
    return {
        name: json_bytes(rng, values, NAMES) if name == chosen else json.dumps(values).encode()
        for name, values in _FILES.items()
        if name == chosen or rng.random() < 0.5
    }


def check(case: dict[str, bytes]) -> None:
    """Load the tokenizer, encode with padding and truncation, and decode."""
    folder = model_folder()
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for name, content in case.items():
        put(folder / name, content)
    with refusals(*(folder / name for name in case)):
        tokenizer = XLMRobertaXLTokenizer.from_pretrained(folder)
    assert tokenizer.vocab_size == 602
    encoded = tokenizer(["The river", "The small ship left the harbour <mask>"], padding=True, truncation=True)
    assert len({len(ids) for ids in encoded["input_ids"]}) == 1
    tokenizer.decode(encoded["input_ids"][0])
