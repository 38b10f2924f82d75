"""Load the tokenizer of a job, which all of its heads share."""

from functools import cache

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer


@cache
def load_tokenizer(directory: str) -> XLMRobertaXLTokenizer:
    """The tokenizer of a model directory; cached, as loading it takes longer than tokenizing a fragment."""
    return XLMRobertaXLTokenizer.from_pretrained(directory)
