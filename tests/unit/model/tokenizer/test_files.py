"""Reading and writing a tokenizer's directory."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece as spm
from transformers import XLMRobertaTokenizer

from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import SENTENCES, write_tiny_sentencepiece


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_tiny_sentencepiece(tmp_path)
    return tmp_path


def write_config(directory: Path, **settings: Any) -> None:
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def test_defaults_where_there_is_no_configuration(directory: Path) -> None:
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(str(directory))
    assert tokenizer.model_max_length == 512
    assert tokenizer.padding_side == tokenizer.truncation_side == "right"
    assert tokenizer.clean_up_tokenization_spaces is False


def test_settings_survive_saving(directory: Path, tmp_path: Path) -> None:
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(directory)
    tokenizer.model_max_length = 128
    tokenizer.padding_side = "left"
    tokenizer.truncation_side = "left"
    tokenizer.clean_up_tokenization_spaces = True
    written = tokenizer.save_pretrained(tmp_path / "new" / "saved")
    assert sorted(Path(path).name for path in written) == [
        "sentencepiece.bpe.model",
        "special_tokens_map.json",
        "tokenizer_config.json",
    ]
    again = XLMRobertaXLTokenizer.from_pretrained(tmp_path / "new" / "saved")
    assert (again.model_max_length, again.padding_side, again.truncation_side) == (128, "left", "left")
    assert again.clean_up_tokenization_spaces is True
    assert again(list(SENTENCES)).data == tokenizer(list(SENTENCES)).data


def test_settings_as_transformers_writes_them(directory: Path) -> None:
    write_config(
        directory,
        model_max_length=1000000000000000019884624838656,
        mask_token={"content": "<mask>", "lstrip": True, "__type": "AddedToken"},
        added_tokens_decoder={"0": {"content": "<s>"}, "601": {"content": "<mask>"}},
        additional_special_tokens=[],
        clean_up_tokenization_spaces=True,
    )
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(directory)
    assert tokenizer.model_max_length == 512
    assert tokenizer.clean_up_tokenization_spaces is True


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_token": "[MASK]"}, r"mask_token is '\[MASK\]', expected '<mask>'"),
        ({"padding_side": "top"}, "padding_side is 'top', expected 'left' or 'right'"),
        (
            {"added_tokens_decoder": {"602": {"content": "<ent>"}}},
            "added_tokens_decoder names 1 tokens beyond XLM-R's own, such as '<ent>'",
        ),
        ({"additional_special_tokens": ["<a>", "<b>"]}, "additional_special_tokens names 2 tokens"),
    ],
)
def test_settings_of_another_tokenizer_are_refused(
    directory: Path, settings: dict[str, Any], message: str
) -> None:
    write_config(directory, **settings)
    with pytest.raises(ValueError, match=message):
        XLMRobertaXLTokenizer.from_pretrained(directory)


def test_added_tokens_are_refused(directory: Path) -> None:
    (directory / "added_tokens.json").write_text('{"<mask>": 601, "<new>": 602}', encoding="utf-8")
    with pytest.raises(ValueError, match="names 1 tokens beyond XLM-R's own, such as '<new>'"):
        XLMRobertaXLTokenizer.from_pretrained(directory)


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not valid JSON"), ("[]", "must hold a JSON object, found list")]
)
def test_a_broken_configuration_is_refused(directory: Path, content: str, message: str) -> None:
    (directory / "tokenizer_config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        XLMRobertaXLTokenizer.from_pretrained(directory)


def test_a_missing_file_names_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent: no such directory; expected one that holds"):
        XLMRobertaXLTokenizer.from_pretrained(tmp_path / "absent")
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(
        FileNotFoundError,
        match=r"sentencepiece\.bpe\.model: no such file; .* found in the directory: tokenizer\.json\.",
    ):
        XLMRobertaXLTokenizer.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"other\.model: no such file"):
        XLMRobertaXLTokenizer(tmp_path / "other.model")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sentencepiece.bpe.model"
    path.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"not a sentencepiece model \(43 bytes\); a Git LFS pointer"):
        XLMRobertaXLTokenizer.from_pretrained(tmp_path)


def test_a_model_of_another_numbering_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sentencepiece.bpe.model"
    with path.open("wb") as file:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES),
            model_writer=file,
            vocab_size=500,
            pad_id=0,
            unk_id=3,
            character_coverage=1.0,
            num_threads=1,
            minloglevel=2,
        )
    with pytest.raises(ValueError, match=r"have the sentencepiece ids \(3, 1, 2\), expected \(0, 1, 2\)"):
        XLMRobertaXLTokenizer(path)


def test_settings_of_a_call_win(directory: Path) -> None:
    write_config(directory, model_max_length=64, padding_side="left")
    for cls in (XLMRobertaXLTokenizer, XLMRobertaTokenizer):
        stored = cls.from_pretrained(directory)
        assert (stored.model_max_length, stored.padding_side) == (64, "left")
        options: dict[str, Any] = {"padding_side": "right", "truncation_side": "left", "bos_token": "<s>"}
        changed = cls.from_pretrained(pretrained_model_name_or_path=directory, model_max_length=32, **options)
        assert (changed.model_max_length, changed.padding_side, changed.truncation_side) == (32, "right", "left")
        assert changed.name_or_path == str(directory)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding_side": "top"}, "padding_side: found 'top', expected 'left' or 'right'"),
        (
            {"mask_token": "[MASK]"},
            r"mask_token is '<mask>' in every vocabulary of XLM-R, and cannot be '\[MASK\]'",
        ),
        ({"use_auth_token": "hf_secret"}, "use_auth_token must be None, .* pass token="),
        ({"proxies": {"https": "hf_secret"}}, "proxies must be None, .* set HTTPS_PROXY"),
    ],
)
def test_settings_that_cannot_be_are_refused(directory: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        XLMRobertaXLTokenizer.from_pretrained(directory, **options)
    assert "hf_secret" not in str(caught.value)


def test_options_of_loading_are_obeyed_and_not_kept(directory: Path, tmp_path: Path) -> None:
    write_tiny_sentencepiece(directory / "a" / "b", vocab_size=500)
    options: dict[str, Any] = {
        "cache_dir": None, "force_download": True, "local_files_only": True, "token": "hf_secret",
        "revision": "v1", "use_auth_token": None, "trust_remote_code": False, "proxies": None,
    }  # fmt: skip
    for cls in (XLMRobertaXLTokenizer, XLMRobertaTokenizer):
        assert cls.from_pretrained(directory, **options).vocab_size == 602
        assert cls.from_pretrained(directory, subfolder="a/b", **options).vocab_size == 502
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(directory, **options)
    tokenizer.save_pretrained(tmp_path / "out")
    assert "hf_secret" not in repr(vars(tokenizer))
    assert all(b"hf_secret" not in file.read_bytes() for file in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("prefix", [None, "mine"])
def test_names_of_the_written_files(directory: Path, tmp_path: Path, prefix: str | None) -> None:
    ours, theirs = (
        cls.from_pretrained(directory).save_pretrained(save_directory=str(tmp_path), filename_prefix=prefix)
        for cls in (XLMRobertaXLTokenizer, XLMRobertaTokenizer)
    )
    assert ours == theirs[:-1]  # the last is for added tokens, which there are none of
    assert all(Path(path).is_file() for path in ours)
    (tmp_path / "vocabulary").mkdir()
    for cls in (XLMRobertaXLTokenizer, XLMRobertaTokenizer):
        (path,) = cls.from_pretrained(directory).save_vocabulary(str(tmp_path / "vocabulary"), prefix)
        assert path == str(tmp_path / "vocabulary" / f"{'mine-' if prefix else ''}sentencepiece.bpe.model")
        assert Path(path).read_bytes() == (directory / "sentencepiece.bpe.model").read_bytes()


@pytest.mark.parametrize("option", [{"legacy_format": False}, {"push_to_hub": True}])
def test_what_is_not_written_is_refused(directory: Path, tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        XLMRobertaXLTokenizer.from_pretrained(directory).save_pretrained(tmp_path / "out", **option)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"added_tokens_decoder": ["a"]}, r"added_tokens_decoder is \['a'\], expected an object"),
        ({"added_tokens_decoder": {"0": None}}, "added_tokens_decoder names 1 tokens beyond XLM-R's own"),
        ({"added_tokens_decoder": {"0": {}}}, "added_tokens_decoder names 1 tokens beyond XLM-R's own"),
        ({"added_tokens_decoder": {"0": {"content": ["<s>"]}}}, "names 1 tokens beyond .* such as \\['<s>'\\]"),
        ({"added_tokens_decoder": {"5": {"content": "<mask>"}}}, "gives <mask> the id '5', expected 601 as in"),
        (
            {"added_tokens_decoder": {str(10**12): {"content": "<s>"}}},
            "gives <s> the id '1000000000000', expected 0",
        ),
        ({"additional_special_tokens": "<s>"}, "additional_special_tokens is '<s>', expected a list"),
        ({"additional_special_tokens": [["<s>"]]}, "additional_special_tokens names 1 tokens"),
        ({"mask_token": {"lstrip": True}}, "mask_token is None, expected '<mask>'"),
        ({"model_max_length": "left"}, "model_max_length is 'left', expected a number of tokens"),
        ({"model_max_length": True}, "model_max_length is True"),
        ({"model_max_length": -1}, "model_max_length is -1"),
        ({"model_max_length": 7.5}, "model_max_length is 7.5"),
        ({"model_max_length": float("nan")}, "model_max_length is nan"),
        ({"model_max_length": [512]}, r"model_max_length is \[512\]"),
        ({"truncation_side": ["left"]}, r"truncation_side is \['left'\], expected"),
        ({"clean_up_tokenization_spaces": "no"}, "clean_up_tokenization_spaces is 'no', expected true or false"),
    ],
)
def test_settings_of_another_type_are_refused_by_name(
    directory: Path, settings: dict[str, Any], message: str
) -> None:
    write_config(directory, **settings)
    with pytest.raises(ValueError, match=rf"^{directory}/tokenizer_config\.json.*{message}"):
        XLMRobertaXLTokenizer.from_pretrained(directory)


@pytest.mark.parametrize(
    ("stored", "expected"), [(None, 512), (0, 512), (128, 128), (128.0, 128), (1e30, 512), (float("inf"), 512)]
)
def test_maximum_lengths_as_real_files_have_them(directory: Path, stored: Any, expected: int) -> None:
    write_config(directory, model_max_length=stored, clean_up_tokenization_spaces=None)
    assert XLMRobertaXLTokenizer.from_pretrained(directory).model_max_length == expected


@pytest.mark.parametrize("added", [{"<mask>": 5}, {"<mask>": True}, {"<mask>": [601]}, {"<s>": 10**12}])
def test_added_tokens_under_other_ids_are_refused(directory: Path, added: dict[str, Any]) -> None:
    (directory / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^{directory}/added_tokens\.json gives <\w+> the id .* expected"):
        XLMRobertaXLTokenizer.from_pretrained(directory)


def test_other_special_tokens_are_refused_where_transformers_reads_them(directory: Path) -> None:
    """It reads `special_tokens_map.json` unless `tokenizer_config.json` has `added_tokens_decoder`."""
    (directory / "special_tokens_map.json").write_text('{"mask_token": "[MASK]"}', encoding="utf-8")
    oracle = XLMRobertaTokenizer.from_pretrained(directory)
    assert oracle.mask_token == "[MASK]"
    with pytest.raises(ValueError, match=rf"^{directory}/special_tokens_map\.json: mask_token is '\[MASK\]'"):
        XLMRobertaXLTokenizer.from_pretrained(directory)
    write_config(directory, added_tokens_decoder={"601": {"content": "<mask>"}})
    assert XLMRobertaXLTokenizer.from_pretrained(directory).mask_token_id == 601


def test_pieces_that_are_not_text_are_refused(directory: Path) -> None:
    path = directory / "sentencepiece.bpe.model"
    content = path.read_bytes()
    at = content.index("река".encode()[:2]) if "река".encode() in content else content.index("р".encode())
    path.write_bytes(content[:at] + b"\xd0\xd0" + content[at + 2 :])
    with pytest.raises(ValueError, match=rf"^{path}: not a sentencepiece model"):
        XLMRobertaXLTokenizer.from_pretrained(directory)


def test_a_normalizer_that_makes_no_text_is_refused_where_it_does(directory: Path) -> None:
    path = directory / "sentencepiece.bpe.model"
    content = path.read_bytes()
    katakana = b"\0\xe3\x82\xa2\0"  # what the half-width letter becomes
    assert content.count(katakana) == 1
    path.write_bytes(content.replace(katakana, b"\0\xe3\x82\x28\0"))
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(directory)
    tokenizer.encode_batch(["The river"], return_offsets=True)
    with pytest.raises(ValueError, match=rf"^{path}: its normalizer makes text that is not UTF-8"):
        tokenizer.encode_batch(["\uff71"], return_offsets=True)
