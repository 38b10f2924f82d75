"""The vocabulary next to Transformers' slow and fast tokenizers: special tokens, conversions, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AddedToken, XLMRobertaTokenizer, XLMRobertaTokenizerFast

from model import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece

MESSY = "  Do n't <mask> go . I 'm here \U00020000 !"


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sentencepiece(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(vocab_file: Path) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(vocab_file)


@pytest.fixture(scope="module", params=[XLMRobertaTokenizer, XLMRobertaTokenizerFast])
def theirs(vocab_file: Path, request: pytest.FixtureRequest) -> Any:
    return request.param(str(vocab_file), model_max_length=512)


ATTRIBUTES = [
    "special_tokens_map", "all_special_tokens", "all_special_ids", "additional_special_tokens",
    "additional_special_tokens_ids", "added_tokens_encoder", "SPECIAL_TOKENS_ATTRIBUTES", "model_input_names",
    "padding_side", "truncation_side", "model_max_length", "max_len_single_sentence", "max_len_sentences_pair",
    "pad_token_type_id", "clean_up_tokenization_spaces", "name_or_path",
    *(f"{name}_token{end}" for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask") for end in ("", "_id")),
]  # fmt: skip


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes(tokenizer: XLMRobertaXLTokenizer, theirs: Any, name: str) -> None:
    found, expected = getattr(tokenizer, name), getattr(theirs, name)
    assert found == expected
    assert type(found) is type(expected)


IDS = [0, 6, 3, 601, 7, 2, 1, 1]
CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("get_added_vocab", ()),
    ("get_vocab", ()),
    ("decode", (IDS,)),
    ("decode", (IDS, True)),
    ("decode", (IDS, False, True)),
    ("batch_decode", ([IDS, IDS[:2]], True)),
    ("batch_decode", (torch.tensor([IDS, IDS]), True, False)),
    ("convert_ids_to_tokens", (IDS, True)),
    ("convert_ids_to_tokens", (6, True)),
    ("convert_tokens_to_ids", (["<s>", "no such token"],)),
    ("clean_up_tokenization", (MESSY,)),
    ("num_special_tokens_to_add", (True,)),
    ("add_tokens", ([],)),
    ("add_special_tokens", ({"bos_token": "<s>", "pad_token": "<pad>"},)),
]


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=str)
def test_calls_by_place(
    tokenizer: XLMRobertaXLTokenizer, theirs: Any, name: str, arguments: tuple[Any, ...]
) -> None:
    if name == "decode" and not theirs.is_fast:
        pytest.skip("the slow one puts blanks around special tokens")
    found, expected = getattr(tokenizer, name)(*arguments), getattr(theirs, name)(*arguments)
    assert found == expected
    assert type(found) is type(expected)


def test_attributes_of_the_fast_tokenizer(tokenizer: XLMRobertaXLTokenizer, vocab_file: Path) -> None:
    fast = XLMRobertaTokenizerFast(str(vocab_file))
    assert tokenizer.is_fast
    assert tokenizer.vocab == fast.vocab
    assert tokenizer.vocab_files_names["vocab_file"] == fast.vocab_files_names["vocab_file"]


@pytest.mark.parametrize(
    "new", ["<new>", ["<mask>", "<new>"], [AddedToken("<new>")], AddedToken("<new>")], ids=str
)
def test_tokens_cannot_be_added(tokenizer: XLMRobertaXLTokenizer, new: Any) -> None:
    message = (
        "add_tokens names 1 tokens beyond XLM-R's own, such as '<new>'; .* this tokenizer's vocabulary is fixed"
    )
    with pytest.raises(ValueError, match=message):
        tokenizer.add_tokens(new)
    assert len(tokenizer) == 602


def test_tokens_that_are_special_already_are_no_new_ones(tokenizer: XLMRobertaXLTokenizer) -> None:
    assert tokenizer.add_tokens(["<mask>", AddedToken("</s>")], special_tokens=True) == 0
    assert tokenizer.add_special_tokens({"mask_token": AddedToken("<mask>", lstrip=True)}) == 0
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<s>"]}) == 0


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ({"pad_token": "[PAD]"}, r"pad_token is '<pad>' in every vocabulary of XLM-R, and cannot be '\[PAD\]'"),
        ({"additional_special_tokens": ["<a>"]}, "additional_special_tokens names 1 tokens beyond"),
        ({"other_token": "<a>"}, "add_special_tokens: found 'other_token', expected bos_token, "),
    ],
)
def test_special_tokens_cannot_be_others(
    tokenizer: XLMRobertaXLTokenizer, vocab_file: Path, tokens: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer.add_special_tokens(tokens)
    if "other_token" not in tokens:
        with pytest.raises(ValueError, match=message):
            XLMRobertaXLTokenizer(vocab_file, **tokens)


def test_a_special_token_that_is_set_is_not_passed_over(tokenizer: XLMRobertaXLTokenizer) -> None:
    tokenizer.pad_token = "<pad>"
    with pytest.raises(ValueError, match="pad_token is '<pad>' in every vocabulary"):
        tokenizer.pad_token = tokenizer.eos_token
    with pytest.raises(ValueError, match="pad_token_id is 1 in every vocabulary"):
        tokenizer.pad_token_id = 2
    with pytest.raises(AttributeError):
        tokenizer.mask_token_id = 2  # type: ignore[misc]
    assert tokenizer([SENTENCES[0], "a"], padding=True).input_ids[1][-1] == 1


@pytest.mark.parametrize("option", ["model_max_lenght", "sp_model_kwargs"])
def test_unknown_arguments_are_refused(vocab_file: Path, option: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        XLMRobertaXLTokenizer(vocab_file, **{option: 1})
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        XLMRobertaXLTokenizer.from_pretrained(vocab_file.parent, **{option: 1})
