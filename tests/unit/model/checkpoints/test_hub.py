"""Hub ids: found in the local cache without a network, and refused with a reason where they are not."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors
from safetensors.torch import load_file, save_file

from jobs.convert.command import main
from model import (
    CheckpointError,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLModel,
    XLMRobertaXLTokenizer,
)
from model.checkpoints.hub import HubOptions, checkpoint_directory, is_hub_id, tokenizer_directory
from tests.checkpoints import write_random_checkpoint
from tests.tiny_tokenizer import write_tiny_sentencepiece

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=20,
)  # fmt: skip
COMMIT = "a" * 40
HUB_ID = "some-org/tiny-xl"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An offline cache that holds one repository; returns the directory of its only commit."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    repository = tmp_path / "hub" / "models--some-org--tiny-xl"
    snapshot = repository / "snapshots" / COMMIT
    write_random_checkpoint(tmp_path / "blobs", CONFIG, std=0.1)
    snapshot.mkdir(parents=True)
    for file in (tmp_path / "blobs").iterdir():
        # The cache links to its blobs, which lie elsewhere.
        (snapshot / file.name).symlink_to(file)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return snapshot


def to_shards(snapshot: Path, *, pickled: bool) -> dict[str, str]:
    """Replace the single file by two and an index."""
    tensors = load_file(snapshot / "model.safetensors")
    (snapshot / "model.safetensors").unlink()
    stem, suffix = ("pytorch_model", "bin") if pickled else ("model", "safetensors")
    weight_map = {name: f"{stem}-{i % 2 + 1:05}-of-00002.{suffix}" for i, name in enumerate(tensors)}
    for file in set(weight_map.values()):
        part = {n: tensors[n] for n in tensors if weight_map[n] == file}
        if pickled:
            torch.save(part, snapshot / file)
        else:
            save_file(part, snapshot / file)
    index = f"{stem}.{suffix}.index.json"
    (snapshot / index).write_text(json.dumps({"weight_map": weight_map}))
    return weight_map


def assert_loads(snapshot: Path, expected: dict[str, torch.Tensor]) -> None:
    found = XLMRobertaXLForMaskedLM.from_pretrained(HUB_ID).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert checkpoint_directory(HUB_ID) == snapshot


def test_what_is_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert is_hub_id("facebook/xlm-roberta-xl")
    assert is_hub_id("xlm-roberta-xl")
    for path in (
        "here",
        "./here",
        "/models/x",
        "a/b/c",
        "../x",
        "",
        "models/x/",
        tmp_path / "nothing",
        Path("a/b"),
    ):
        assert not is_hub_id(path), path


@pytest.mark.parametrize("layout", ["one file", "safetensors", "bin"])
def test_models_load_from_the_cache(cache: Path, layout: str) -> None:
    expected = dict(XLMRobertaXLForMaskedLM.from_pretrained(cache).state_dict())
    if layout != "one file":
        to_shards(cache, pickled=layout == "bin")
    assert_loads(cache, expected)


def test_a_single_file_goes_before_an_index(cache: Path) -> None:
    """What the index names need not be in the cache."""
    expected = dict(XLMRobertaXLForMaskedLM.from_pretrained(cache).state_dict())
    (cache / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
    )
    assert_loads(cache, expected)


def test_configurations_and_revisions(cache: Path) -> None:
    assert XLMRobertaXLConfig.from_pretrained(HUB_ID) == XLMRobertaXLConfig.from_pretrained(cache)
    assert XLMRobertaXLConfig.from_pretrained(HUB_ID, num_labels=7).num_labels == 7
    assert checkpoint_directory(HUB_ID, HubOptions(revision=COMMIT)) == cache
    assert XLMRobertaXLModel.from_pretrained(HUB_ID, revision=COMMIT).config.vocab_size == 60
    with pytest.raises(CheckpointError, match="neither the Hugging Face hub nor its local cache"):
        XLMRobertaXLConfig.from_pretrained(HUB_ID, revision="another")


def test_convert_takes_hub_ids(cache: Path, tmp_path: Path) -> None:
    (cache / "sentencepiece.bpe.model").write_bytes(b"the tokenizer's")
    assert tokenizer_directory(HUB_ID) == cache
    assert main([HUB_ID, str(tmp_path / "out"), "--dtype", "bfloat16"]) == 0
    assert XLMRobertaXLForMaskedLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16
    assert (tmp_path / "out" / "sentencepiece.bpe.model").read_bytes() == b"the tokenizer's"


def in_subfolder(snapshot: Path, subfolder: str) -> Path:
    """Move everything into a folder of the repository, with a tokenizer beside it."""
    folder = snapshot / subfolder
    folder.mkdir(parents=True)
    for file in snapshot.iterdir():
        if file.is_symlink() or file.is_file():
            file.rename(folder / file.name)
    write_tiny_sentencepiece(folder)
    return folder


def test_subfolders_of_a_repository(cache: Path) -> None:
    expected = dict(XLMRobertaXLForMaskedLM.from_pretrained(cache).state_dict())
    folder = in_subfolder(cache, "a/b")
    to_shards(folder, pickled=False)
    assert XLMRobertaXLConfig.from_pretrained(HUB_ID, subfolder="a/b").vocab_size == 60
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(HUB_ID, subfolder="a/b")
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in expected.items())
    assert loaded.name_or_path == HUB_ID
    assert XLMRobertaXLTokenizer.from_pretrained(HUB_ID, subfolder="a/b").vocab_size == 602
    assert checkpoint_directory(HUB_ID, HubOptions(subfolder="a/b")) == folder
    with pytest.raises(CheckpointError, match=r"holds its config\.json"):
        XLMRobertaXLModel.from_pretrained(HUB_ID)


def test_a_tokenizer_needs_no_configuration_of_a_model(cache: Path) -> None:
    in_subfolder(cache, "tokenizer")
    (cache / "tokenizer" / "config.json").unlink()
    assert XLMRobertaXLTokenizer.from_pretrained(HUB_ID, subfolder="tokenizer").vocab_size == 602


def test_another_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`local_files_only` asks nobody, so that no network is missed."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    write_tiny_sentencepiece(cache)
    (tmp_path / "hub").rename(tmp_path / "elsewhere")
    where: dict[str, Any] = {"cache_dir": tmp_path / "elsewhere", "local_files_only": True}
    assert XLMRobertaXLConfig.from_pretrained(HUB_ID, **where).vocab_size == 60
    assert XLMRobertaXLModel.from_pretrained(HUB_ID, revision=COMMIT, **where).config.vocab_size == 60
    assert XLMRobertaXLTokenizer.from_pretrained(HUB_ID, **where).vocab_size == 602
    with pytest.raises(CheckpointError, match="neither the Hugging Face hub nor its local cache"):
        XLMRobertaXLConfig.from_pretrained(HUB_ID, local_files_only=True)


def test_options_reach_the_hub_and_are_not_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = in_subfolder(cache, "sub")
    calls: list[dict[str, Any]] = []

    def download(repository: str, file: str, **options: Any) -> str:
        assert repository == HUB_ID
        calls.append(options)
        if not (folder / file).exists():
            raise errors.EntryNotFoundError(file)
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    options: dict[str, Any] = {
        "token": "hf_secret", "force_download": True, "local_files_only": False, "cache_dir": "somewhere",
        "subfolder": "sub",
    }  # fmt: skip
    assert "hf_secret" not in repr(HubOptions(**options))
    loaded: list[Any] = [
        cls.from_pretrained(HUB_ID, revision="v1", **options)
        for cls in (XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLTokenizer)
    ]
    for call in calls:
        assert call | {"revision": "v1"} == options | {"revision": "v1"}
    # The first file of each is asked for by name, and the others by the commit that it came from.
    assert [call["revision"] for call in calls].count("v1") == 3
    assert {call["revision"] for call in calls} == {"v1", COMMIT}
    for each in loaded:
        each.save_pretrained(tmp_path / "out")
        assert "hf_secret" not in repr(each) + repr(vars(each))
    for file in (tmp_path / "out").iterdir():
        assert b"hf_secret" not in file.read_bytes()


@pytest.mark.parametrize(
    ("endpoint", "only_here"), [("http://localhost:9", False), ("http://no-host.invalid", True)]
)
def test_without_a_network_the_cache_alone_is_asked(
    cache: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, only_here: bool
) -> None:
    asked = []

    def download(repository: str, file: str, **options: Any) -> str:
        asked.append(options["local_files_only"])
        raise errors.EntryNotFoundError(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CheckpointError, match="neither the Hugging Face hub nor its local cache"):
        checkpoint_directory("some-org/other")
    assert asked == [only_here]


def test_what_the_cache_lacks_is_named(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match=r"some-org/other is no directory here, and neither .* config\.json"):
        XLMRobertaXLModel.from_pretrained("some-org/other")
    weight_map = to_shards(cache, pickled=False)
    missing = sorted(set(weight_map.values()))[1]
    (cache / missing).unlink()
    with pytest.raises(
        CheckpointError, match=rf"holds its {missing}, which model\.safetensors\.index\.json names"
    ):
        XLMRobertaXLModel.from_pretrained(HUB_ID)
    for file in cache.glob("model*"):
        file.unlink()
    with pytest.raises(CheckpointError, match=r"holds its model\.safetensors or pytorch_model\.bin"):
        XLMRobertaXLModel.from_pretrained(HUB_ID)
    assert main(["some-org/other", "out"]) == 2
    assert "no directory here" in capsys.readouterr().err


def test_an_index_cannot_name_other_directories(cache: Path) -> None:
    weight_map: dict[str, Any] = to_shards(cache, pickled=False)
    outside = cache.parent / "outside.safetensors"
    shutil.copyfile(cache / next(iter(weight_map.values())), outside)
    index = cache / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map | {"x": "../outside.safetensors"}}))
    with pytest.raises(CheckpointError, match="must name files of its own directory"):
        XLMRobertaXLModel.from_pretrained(HUB_ID)


def test_without_the_extra_the_remedy_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert XLMRobertaXLModel.from_pretrained(cache).config.vocab_size == 60
    with pytest.raises(CheckpointError, match=r"install xlmr-ray\[hub\]"):
        XLMRobertaXLModel.from_pretrained(HUB_ID)
