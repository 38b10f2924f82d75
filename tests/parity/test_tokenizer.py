"""The tokenizer's ids against sentencepiece itself, reference ids, and Transformers' slow tokenizer.

The comparison with Transformers runs on a tiny vocabulary, and on the released one where it is at hand.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import XLMRobertaTokenizer, XLMRobertaTokenizerFast

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.shared_data import shared_data
from tests.tokenizer_oracle import SPECIAL, as_lists, texts_for, vocab_file_of


@pytest.fixture(scope="module", params=["tiny", "released"])
def vocab_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vocab_file_of(request.param, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(vocab_file: Path) -> XLMRobertaXLTokenizer:
    return XLMRobertaXLTokenizer(vocab_file)


@pytest.fixture(scope="module")
def slow(vocab_file: Path) -> XLMRobertaTokenizer:
    return XLMRobertaTokenizer(str(vocab_file), model_max_length=512)


@pytest.fixture(scope="module")
def texts(vocab_file: Path) -> list[str]:
    return texts_for(vocab_file)


def test_reference_ids() -> None:
    released = XLMRobertaXLTokenizer.from_pretrained(shared_data("xlm-roberta-tokenizer"))
    lines = shared_data("xlm-roberta-tokenizer", "golden_ids.jsonl").read_text(encoding="utf-8")
    cases = [json.loads(line) for line in lines.splitlines()]
    agreed = [case for case in cases if case["sentencepiece_equal"]]
    assert (len(cases), len(agreed)) == (43, 42)
    for case in agreed:
        assert released.encode(case["text"]) == case["ids"]
    ragged = released.encode_batch([case["text"] for case in agreed])
    assert ragged.input_ids.tolist() == [i for case in agreed for i in case["ids"]]


SLOW_OPTIONS: list[dict[str, Any]] = [
    {},
    {"add_special_tokens": False},
    {"padding": True},
    {"padding": "longest", "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 40},
    {"padding": "max_length", "truncation": True},
    {"truncation": True, "max_length": 9},
    {"max_length": 9},
    {"truncation": True, "max_length": 3},
    {"truncation": "only_first", "max_length": 12, "padding": True},
    {"truncation": "do_not_truncate", "max_length": 5},
    {"truncation": True, "max_length": 16, "padding": True, "return_tensors": "np"},
    {"padding": True, "return_tensors": "pt", "return_token_type_ids": True},
    {"return_attention_mask": False, "return_special_tokens_mask": True},
    {"return_length": True},
]


@pytest.mark.parametrize("options", SLOW_OPTIONS, ids=str)
@pytest.mark.parametrize("side", ["right", "left"])
def test_calls_agree_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer,
    slow: XLMRobertaTokenizer,
    texts: list[str],
    options: dict[str, Any],
    side: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for either in (tokenizer, slow):
        monkeypatch.setattr(either, "padding_side", side)
        monkeypatch.setattr(either, "truncation_side", side)
    texts = [*texts, *SPECIAL]
    found, expected = tokenizer(texts, **options), slow(texts, **options)
    assert as_lists(found) == as_lists(expected)
    for name, values in expected.items():
        assert type(found[name]) is type(values)
        if not isinstance(values, list):
            assert found[name].dtype == values.dtype


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": True, "return_special_tokens_mask": True},
        {"truncation": "only_first", "max_length": 60},
        {"truncation": "only_second", "max_length": 60, "padding": "max_length"},
        {"truncation": True, "max_length": 20},
        {"add_special_tokens": False, "truncation": True, "max_length": 20},
    ],
    ids=str,
)
def test_pairs_agree_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer,
    slow: XLMRobertaTokenizer,
    texts: list[str],
    options: dict[str, Any],
) -> None:
    """With an even budget: an odd one the slow tokenizer halves otherwise than the fast one."""
    short = [text for text in texts if len(tokenizer.tokenize(text)) < 50]
    pairs = [*zip(short, reversed(short), strict=True), ("<mask> a", "b <mask>")]
    found, expected = tokenizer(pairs, **options), slow(pairs, **options)
    assert as_lists(found) == as_lists(expected)
    firsts, seconds = [list(part) for part in zip(*pairs, strict=True)]
    assert as_lists(tokenizer(firsts, seconds, **options)) == as_lists(expected)


def test_single_texts_agree_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer, slow: XLMRobertaTokenizer, texts: list[str]
) -> None:
    for text in [*texts, *SPECIAL]:
        assert dict(tokenizer(text)) == dict(slow(text))
        assert tokenizer.encode(text, "the pair") == slow.encode(text, "the pair")
        assert tokenizer.tokenize(text) == slow.tokenize(text)
    tensors, expected = tokenizer("a b", return_tensors="pt"), slow("a b", return_tensors="pt")
    assert torch.equal(tensors.input_ids, expected.input_ids)


def test_words_agree_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer, slow: XLMRobertaTokenizer, texts: list[str]
) -> None:
    words = [text.split() or [""] for text in [*texts, *SPECIAL]]
    options: dict[str, Any] = {"is_split_into_words": True, "padding": True}
    assert as_lists(tokenizer(words, **options)) == as_lists(slow(words, **options))
    assert as_lists(tokenizer(words, words[::-1], **options)) == as_lists(slow(words, words[::-1], **options))
    assert tokenizer.encode(words[0], is_split_into_words=True) == slow.encode(words[0], is_split_into_words=True)


def test_decoding_agrees_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer, slow: XLMRobertaTokenizer, texts: list[str]
) -> None:
    rows = [*tokenizer([*texts, *SPECIAL], padding=True)["input_ids"], []]
    for skip, clean in itertools.product((True, False), (True, False, None)):
        options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean}
        assert tokenizer.batch_decode(rows, **options) == slow.batch_decode(rows, **options)
    english = "Do n't go . I 'm here , you 've it ' s ? Yes !"
    ids = tokenizer.encode(english)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=True) == slow.decode(
        ids, clean_up_tokenization_spaces=True
    )
    assert tokenizer.decode(torch.tensor(ids)) == tokenizer.decode(np.array(ids)) == slow.decode(ids)
    assert tokenizer.decode(ids[1]) == slow.decode(ids[1])
    for row in rows:
        assert tokenizer.convert_ids_to_tokens(row) == slow.convert_ids_to_tokens(row)
        tokens = slow.convert_ids_to_tokens(row)
        assert tokenizer.convert_tokens_to_ids(tokens) == slow.convert_tokens_to_ids(tokens)


def test_vocabulary_and_special_tokens_agree_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer, slow: XLMRobertaTokenizer
) -> None:
    assert tokenizer.get_vocab() == slow.get_vocab()
    assert len(tokenizer) == tokenizer.vocab_size == len(slow) == slow.vocab_size
    for name in ("bos", "eos", "sep", "cls", "pad", "unk", "mask"):
        for attribute in (f"{name}_token", f"{name}_token_id"):
            assert getattr(tokenizer, attribute) == getattr(slow, attribute)
    assert list(tokenizer.all_special_tokens) == slow.all_special_tokens
    assert tokenizer.all_special_ids == slow.all_special_ids
    for first, second in (([5, 6, 7], None), ([5], [8, 9]), ([], [])):
        for method in (
            "build_inputs_with_special_tokens",
            "get_special_tokens_mask",
            "create_token_type_ids_from_sequences",
        ):
            assert getattr(tokenizer, method)(first, second) == getattr(slow, method)(first, second)
    whole = [0, 5, 3, slow.mask_token_id, 2, 1]
    assert tokenizer.get_special_tokens_mask(
        whole, already_has_special_tokens=True
    ) == slow.get_special_tokens_mask(whole, already_has_special_tokens=True)
    for pair in (False, True):
        assert tokenizer.num_special_tokens_to_add(pair) == slow.num_special_tokens_to_add(pair)


@pytest.mark.parametrize("side", ["right", "left"])
def test_pad_agrees_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer,
    slow: XLMRobertaTokenizer,
    texts: list[str],
    side: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for either in (tokenizer, slow):
        monkeypatch.setattr(either, "padding_side", side)
    rows = [dict(slow(text, return_special_tokens_mask=True)) for text in texts]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for options in (
        {},
        {"padding": "max_length", "max_length": 300},
        {"padding": True, "pad_to_multiple_of": 16, "return_tensors": "pt"},
        {"padding": False},
    ):
        expected = as_lists(slow.pad([dict(row) for row in rows], **options))
        assert as_lists(tokenizer.pad(rows, **options)) == expected
        assert as_lists(tokenizer.pad(columns, **options)) == expected
    ids_only = [{"input_ids": row["input_ids"]} for row in rows]
    assert as_lists(tokenizer.pad(ids_only)) == as_lists(slow.pad(ids_only))
    single = {"padding": "max_length", "max_length": 300}
    assert as_lists(tokenizer.pad(rows[0], **single)) == as_lists(slow.pad(dict(rows[0]), **single))


def test_saved_files_load_in_transformers(
    tokenizer: XLMRobertaXLTokenizer, slow: XLMRobertaTokenizer, texts: list[str], tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = XLMRobertaTokenizer.from_pretrained(str(tmp_path))
    texts = [*texts, *SPECIAL]
    assert loaded(texts)["input_ids"] == slow(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert loaded.model_max_length == 512
    assert (tmp_path / "sentencepiece.bpe.model").read_bytes() == Path(slow.vocab_file).read_bytes()
    slow.save_pretrained(str(tmp_path / "theirs"))
    ours = XLMRobertaXLTokenizer.from_pretrained(tmp_path / "theirs")
    assert ours(texts)["input_ids"] == slow(texts)["input_ids"]


# (text, pair) and what follows by place, or by name, in the order of Transformers 4.26.
ENCODE_CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("The river was high.",), {}),
    (("The river was high.", "the pair"), {}),
    (("The river was high.", None, False), {}),
    (("The river was high.", "the pair", True, "max_length", True, 8, 0), {}),
    (("The river was high.", None, True, False, True, 6), {"return_tensors": "pt"}),
    (("The river was high.", None, True, True), {"return_tensors": "np", "pad_to_multiple_of": 8}),
    ((["The", "river"], ["was"]), {"is_split_into_words": True, "return_tensors": "pt"}),
    (("The river was high.",), {"padding": "max_length", "max_length": 12, "padding_side": "left"}),
    (("The river was high.",), {"max_length": 5, "verbose": False}),
]
RETURN_CALLS: list[dict[str, Any]] = [
    {"return_special_tokens_mask": True, "return_length": True},
    {"return_attention_mask": False, "return_tensors": "pt"},
]


@pytest.mark.parametrize(("arguments", "options"), ENCODE_CALLS, ids=str)
def test_encode_agrees_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer,
    slow: XLMRobertaTokenizer,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    found, expected = tokenizer.encode(*arguments, **options), slow.encode(*arguments, **options)
    assert type(found) is type(expected)
    assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))
    for returned in ({}, *RETURN_CALLS):
        merged = {**options, **returned}
        assert as_lists(tokenizer.encode_plus(*arguments, **merged)) == as_lists(
            slow.encode_plus(*arguments, **merged)
        )


def test_encode_takes_the_tensor_type_where_transformers_4_26_does(tokenizer: XLMRobertaXLTokenizer) -> None:
    ids = tokenizer.encode("The river", None, True, False, None, None, 0, "pt")
    assert torch.equal(ids, tokenizer("The river", return_tensors="pt").input_ids)
    plus = tokenizer.encode_plus("The river", None, True, False, None, None, 0, False, None, "pt")
    named = tokenizer.batch_encode_plus(batch_text_or_text_pairs=["The river"], return_tensors="pt")
    assert torch.equal(named.input_ids, ids)
    batch = tokenizer.batch_encode_plus(["The river"], True, False, None, None, 0, False, None, "pt")
    assert torch.equal(plus.input_ids, ids)
    assert torch.equal(batch.input_ids, ids)


@pytest.mark.parametrize(
    ("batch", "arguments", "options"),
    [
        (["The river", "was high."], (), {}),
        ([("The river", "was high."), ("a", "b")], (True, True), {"return_tensors": "pt"}),
        ((["The", "river"], ["was"]), (True, "longest", True, 4), {"is_split_into_words": True}),
        (["The river", "was high."], (False,), {"return_length": True, "verbose": False}),
    ],
    ids=str,
)
def test_batches_agree_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer,
    slow: XLMRobertaTokenizer,
    batch: Any,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    found = tokenizer.batch_encode_plus(batch, *arguments, **options)
    assert as_lists(found) == as_lists(slow.batch_encode_plus(list(batch), *arguments, **options))


def test_targets_agree_with_the_slow_tokenizer(
    tokenizer: XLMRobertaXLTokenizer, slow: XLMRobertaTokenizer
) -> None:
    calls: list[dict[str, Any]] = [
        {"text": "The river", "text_target": "was high."},
        {"text": ["The river"], "text_target": ["was high."], "return_tensors": "pt", "padding": True},
        {"text_target": "was high."},
        {"text_target": "was high.", "text_pair_target": "a", "max_length": 6, "truncation": True},
    ]
    for options in calls:
        assert as_lists(tokenizer(**options)) == as_lists(slow(**options))
    assert dict(tokenizer("The river", None, "was high.")) == dict(slow("The river", None, "was high."))


def test_tokens_agree_with_the_fast_tokenizer(tokenizer: XLMRobertaXLTokenizer, vocab_file: Path) -> None:
    if vocab_file.stat().st_size > 10**6:
        pytest.skip("converting the released vocabulary takes long")
    fast = XLMRobertaTokenizerFast(str(vocab_file))
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("The river",), {}),
        (("The river", "was high."), {}),
        (("The river", "was high.", True), {}),
        (("The river",), {"add_special_tokens": True, "max_length": 4, "truncation": True}),
    ]
    for arguments, options in calls:
        assert tokenizer.tokenize(*arguments, **options) == fast.tokenize(*arguments, **options)


def test_unknown_options_and_single_texts_are_refused(tokenizer: XLMRobertaXLTokenizer) -> None:
    methods: list[Any] = [
        tokenizer, tokenizer.encode, tokenizer.encode_plus, tokenizer.batch_encode_plus, tokenizer.tokenize,
        tokenizer.decode, tokenizer.batch_decode, tokenizer.pad,
    ]  # fmt: skip
    for method in methods:
        with pytest.raises(TypeError, match="'truncaton'"):
            method(["a"], truncaton=True)
    with pytest.raises(TypeError, match="batch_text_or_text_pairs: found a str, expected a list or tuple"):
        tokenizer.batch_encode_plus("a")  # type: ignore[arg-type]
