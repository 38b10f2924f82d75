"""Which files of a directory are read: those that Transformers reads; and what is said where there are none."""

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from model import CheckpointError, XLMRobertaXLConfig, XLMRobertaXLForSequenceClassification
from model.checkpoints.reader import Checkpoint
from model.checkpoints.weight_files import WEIGHT_FILES, find_weights
from tests.oracle import randomize

CONFIG = XLMRobertaXLConfig(
    vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
    max_position_embeddings=20,
)  # fmt: skip
WEIGHT = "classifier.out_proj.weight"
SETS = [names for size in range(1, 5) for names in combinations(WEIGHT_FILES, size)]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four kinds of weight files side by side, each with weights of its own."""
    directory = tmp_path_factory.mktemp("everything")
    CONFIG.save_pretrained(directory)
    for seed, name in enumerate(WEIGHT_FILES):
        model = XLMRobertaXLForSequenceClassification(CONFIG)
        randomize(model, seed=seed)
        write(directory, name, dict(model.state_dict()))
    return directory


def write(directory: Path, name: str, tensors: dict[str, Tensor]) -> None:
    if name.endswith(".safetensors"):
        # Transformers reads files that say what wrote them.
        save_file({n: tensor.clone() for n, tensor in tensors.items()}, directory / name, {"format": "pt"})
        return
    if name.endswith(".bin"):
        torch.save(tensors, directory / name)
        return
    stem, suffix = name.split(".")[:2]
    names = list(tensors)
    weight_map = {}
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"{stem}-{i:05}-of-00002.{suffix}"
        write(directory, file, {n: tensors[n] for n in part})
        weight_map |= dict.fromkeys(part, file)
    (directory / name).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


def copy_with(everything: Path, names: tuple[str, ...], target: Path) -> Path:
    """The shards stay, as Transformers leaves them."""
    shutil.copytree(everything, target)
    for name in set(WEIGHT_FILES) - set(names):
        (target / name).unlink()
    return target


@pytest.mark.parametrize("names", SETS, ids=" + ".join)
def test_the_weights_are_those_that_transformers_reads(
    names: tuple[str, ...], everything: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = copy_with(everything, names, tmp_path / "model")
    theirs = transformers.XLMRobertaXLForSequenceClassification.from_pretrained(directory).state_dict()
    model = XLMRobertaXLForSequenceClassification.from_pretrained(directory)
    assert torch.equal(model.state_dict()[WEIGHT], theirs[WEIGHT])
    # What is not read is named.
    assert ("passed over: " in caplog.text) == (len(names) > 1)
    assert find_weights(directory).path.name == names[0]
    assert find_weights(directory).passed_over == list(names[1:])
    if len(names) > 1:
        assert f"{directory}: weights are read from {names[0]}; passed over: {', '.join(names[1:])}" in caplog.text


def test_an_index_whose_files_are_gone_does_not_matter_beside_a_single_file(
    everything: Path, tmp_path: Path
) -> None:
    directory = copy_with(everything, WEIGHT_FILES[:2], tmp_path / "model")
    for file in directory.glob("model-*"):
        file.unlink()
    assert Checkpoint(directory).files == [directory / "model.safetensors"]


def test_a_link_that_leads_nowhere_is_passed_over_and_named(everything: Path, tmp_path: Path) -> None:
    directory = copy_with(everything, ("pytorch_model.bin",), tmp_path / "model")
    (directory / "model.safetensors").symlink_to("../blobs/0123")
    found = find_weights(directory)
    assert found.path.name == "pytorch_model.bin"
    assert found.passed_over == ["model.safetensors (a link that leads nowhere)"]


def _without(directory: Path) -> None:
    shutil.rmtree(directory)


def _adapter(directory: Path) -> None:
    (directory / "adapter_config.json").write_text("{}")
    (directory / "adapter_model.safetensors").write_bytes(b"")


def _broken_link(directory: Path) -> None:
    (directory / "model.safetensors").symlink_to("../blobs/0123")


def _shards(directory: Path) -> None:
    for i in (1, 2):
        (directory / f"model-{i:05}-of-00002.safetensors").write_bytes(b"")


def _tensorflow(directory: Path) -> None:
    (directory / "tf_model.h5").write_bytes(b"")


def _folders_of_the_trainer(directory: Path) -> None:
    for step in ("500", "1000"):
        (directory / f"checkpoint-{step}").mkdir()
        (directory / f"checkpoint-{step}" / "config.json").write_text("{}")


def _other_files(directory: Path) -> None:
    for i in range(10):
        (directory / f"{i}.txt").write_text("")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, "found no such directory"),
        (lambda directory: None, "found nothing"),
        (_other_files, "found 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, 5.txt, 6.txt, 7.txt and 2 more"),
        (_adapter, "found adapter_model.safetensors, an adapter (LoRA) without its model; merge it"),
        (_broken_link, "found model.safetensors, a link that leads nowhere; download it again"),
        (_shards, "found model-00001-of-00002.safetensors without an index; download the index"),
        (_tensorflow, "found tf_model.h5, weights of another framework"),
        (_folders_of_the_trainer, "found a checkpoint in its folder checkpoint-1000; name that one"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_no_weights_are_refused_with_what_is_there(
    change: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    directory.mkdir()
    change(directory)
    with pytest.raises(CheckpointError) as caught:
        find_weights(directory)
    assert str(caught.value).startswith(f"{directory}: expected model.safetensors")
    assert message in str(caught.value)
    with pytest.raises(ValueError, match=r"config\.json is not there") as absent:
        XLMRobertaXLConfig.from_pretrained(directory)
    assert message in str(absent.value)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pointer_of_git_lfs_is_named(name: str, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / name).write_text(pointer)
    with pytest.raises(CheckpointError, match=rf"{name} is a pointer of Git LFS .* run git lfs pull"):
        Checkpoint(tmp_path)
