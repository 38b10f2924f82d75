"""fairseq's `model.pt`: key table, geometry from wherever it is told, stand-ins for objects, refusals."""

import argparse
import os
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoints.errors import CheckpointError
from model.conversion.fairseq import FairseqCheckpoint
from tests.fairseq_checkpoints import fairseq_tensors

PREFIX = "encoder.sentence_encoder"


def write(path: Path, tensors: Any, *, zipped: bool = True, **state: Any) -> Path:
    state.setdefault("cfg", {"model": {"encoder_attention_heads": 4, "arch": "roberta"}})
    torch.save({"model": tensors, **state}, path / "model.pt", _use_new_zipfile_serialization=zipped)
    return path / "model.pt"


def test_geometry_and_names(tmp_path: Path) -> None:
    checkpoint = FairseqCheckpoint(write(tmp_path, fairseq_tensors(num_layers=3, dtype=torch.float16)))
    config = checkpoint.config
    found = (config.vocab_size, config.hidden_size, config.num_hidden_layers, config.num_attention_heads)
    assert found == (60, 24, 3, 4)
    assert (config.intermediate_size, config.max_position_embeddings, config.type_vocab_size) == (40, 34, 1)
    assert config.dtype == torch.float16
    assert config.tie_word_embeddings
    assert "lm_head.decoder.weight" not in checkpoint.names
    assert not any("version" in name or "classifier" in name for name in checkpoint.names)
    assert checkpoint.shape("roberta.encoder.layer.2.output.dense.weight") == [24, 40]
    assert not checkpoint.read("roberta.embeddings.token_type_embeddings.weight").any()
    assert checkpoint.read("roberta.embeddings.token_type_embeddings.weight").dtype == torch.float16


def test_the_final_norm_does_not_depend_on_the_version_key(tmp_path: Path) -> None:
    tensors = fairseq_tensors()
    del tensors[f"{PREFIX}.version"]
    checkpoint = FairseqCheckpoint(write(tmp_path, tensors))
    assert torch.equal(checkpoint.read("roberta.encoder.LayerNorm.weight"), tensors[f"{PREFIX}.layer_norm.weight"])


def test_the_older_prefix(tmp_path: Path) -> None:
    old, new = fairseq_tensors(prefix="decoder"), fairseq_tensors()
    checkpoint = FairseqCheckpoint(write(tmp_path, old))
    assert sorted(checkpoint.names) == sorted(FairseqCheckpoint(write(tmp_path, new)).names)


def test_an_untied_projection_is_kept(tmp_path: Path) -> None:
    tensors = fairseq_tensors()
    tensors["encoder.lm_head.weight"] = torch.randn(60, 24)
    checkpoint = FairseqCheckpoint(write(tmp_path, tensors))
    assert not checkpoint.config.tie_word_embeddings
    assert torch.equal(checkpoint.read("lm_head.decoder.weight"), tensors["encoder.lm_head.weight"])


def test_heads(tmp_path: Path) -> None:
    file = write(tmp_path, fairseq_tensors(heads={"mnli": 3, "sentence.pair": 5}))
    with pytest.raises(CheckpointError, match=r"several classification heads, name one: .*sentence"):
        FairseqCheckpoint(file)
    with pytest.raises(CheckpointError, match="must hold the classification head 'rte'"):
        FairseqCheckpoint(file, head="rte")
    for head, num_labels in (("mnli", 3), ("sentence.pair", 5)):
        checkpoint = FairseqCheckpoint(file, head=head)
        assert checkpoint.config.num_labels == num_labels
        assert checkpoint.shape("classifier.out_proj.weight") == [num_labels, 24]
    assert FairseqCheckpoint(write(tmp_path, fairseq_tensors(heads={"mnli": 3}))).head == "mnli"


class _Omegaconf:
    """Classes that pickle under omegaconf's names, while packages of these names are there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = self._make(monkeypatch, "omegaconf.nodes", "AnyNode", "_val")
        self.container = self._make(monkeypatch, "omegaconf.dictconfig", "DictConfig", "_content")

    def _make(self, monkeypatch: pytest.MonkeyPatch, module: str, name: str, attribute: str) -> Any:
        def initialize(self: Any, value: object) -> None:
            setattr(self, attribute, value)

        cls = type(name, (), {"__init__": initialize, "__module__": module})
        package = types.ModuleType(module)
        setattr(package, name, cls)
        monkeypatch.setitem(sys.modules, module, package)
        monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
        return cls


CONFIGURATIONS: dict[str, Callable[[_Omegaconf], dict[str, Any]]] = {
    "dictionary": lambda _: {"cfg": {"model": {"encoder_attention_heads": 6}}, "args": None},
    "namespace": lambda _: {"cfg": None, "args": argparse.Namespace(encoder_attention_heads=6, arch="roberta_xl")},
    "namespace in cfg": lambda _: {"cfg": {"model": argparse.Namespace(encoder_attention_heads=6)}},
    "omegaconf": lambda omegaconf: {
        "cfg": omegaconf.container(
            {
                "model": omegaconf.container(
                    {"encoder_attention_heads": omegaconf.node(6), "_name": omegaconf.node("x")}
                )
            }
        )
    },
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", list(CONFIGURATIONS))
def test_the_number_of_heads_is_found_wherever_fairseq_keeps_it(tmp_path: Path, kind: str, zipped: bool) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        state = CONFIGURATIONS[kind](_Omegaconf(monkeypatch))
        file = write(tmp_path, fairseq_tensors(), zipped=zipped, **state)
    assert "omegaconf" not in sys.modules
    assert FairseqCheckpoint(file).config.num_attention_heads == 6
    assert FairseqCheckpoint(file, num_attention_heads=3).config.num_attention_heads == 3


@pytest.mark.parametrize("width", [2560, 4096])
def test_the_released_models_have_32_heads(tmp_path: Path, width: int) -> None:
    tensors = fairseq_tensors(num_layers=1, width=width, ffn=8, dtype=torch.float16)
    config = FairseqCheckpoint(write(tmp_path, tensors, cfg=None)).config
    assert config.num_attention_heads == 32
    assert config.head_size == {2560: 80, 4096: 128}[width]


def test_an_unknown_width_needs_the_number_of_heads(tmp_path: Path) -> None:
    file = write(tmp_path, fairseq_tensors(), cfg=None)
    with pytest.raises(CheckpointError, match="how many attention heads a model of width 24 has"):
        FairseqCheckpoint(file)
    assert FairseqCheckpoint(file, num_attention_heads=2).config.head_size == 12


UNKNOWN = [
    f"{PREFIX}.layers.0.self_attn.in_proj_weight",
    f"{PREFIX}.layers.0.fc1.weight.more",
    f"module.{PREFIX}.embed_tokens.weight",
    f"{PREFIX}.layers.x.fc1.weight",
    "something",
]


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_keys_are_refused(tmp_path: Path, name: str) -> None:
    tensors = fairseq_tensors()
    tensors[name] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="a tensor that no XLM-R XL or XXL has: " + name):
        FairseqCheckpoint(write(tmp_path, tensors))


@pytest.mark.parametrize("name", ["emb_layer_norm", "layernorm_embedding"])
def test_base_and_large_are_refused(tmp_path: Path, name: str) -> None:
    tensors = fairseq_tensors()
    tensors[f"{PREFIX}.{name}.weight"] = torch.ones(24)
    with pytest.raises(CheckpointError, match="is not XLM-R XL or XXL: it has a LayerNorm on its embeddings"):
        FairseqCheckpoint(write(tmp_path, tensors))


def test_other_contents_are_refused(tmp_path: Path) -> None:
    torch.save({"weights": {}}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="tensors of a model under 'model'"):
        FairseqCheckpoint(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="is no RoBERTa model of fairseq: it lacks"):
        FairseqCheckpoint(write(tmp_path, {"classification_heads.a.dense.weight": torch.zeros(2, 2)}))
    with pytest.raises(CheckpointError, match="not a readable torch file"):
        FairseqCheckpoint(tmp_path / "nothing.pt")
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as archive:
        archive.writestr("notes.txt", "no model")
    with pytest.raises(CheckpointError, match="not a readable torch file"):
        FairseqCheckpoint(tmp_path / "archive.pt")


class _Code:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    trap = tmp_path / "trap"
    file = write(tmp_path, fairseq_tensors(), zipped=zipped, args=_Code(str(trap)))
    with pytest.raises(CheckpointError, match="wants to run code, which is refused"):
        FairseqCheckpoint(file)
    assert not trap.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.5, 0.98])
def test_a_truncated_file_is_refused(tmp_path: Path, fraction: float, zipped: bool) -> None:
    file = write(tmp_path, fairseq_tensors(), zipped=zipped)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(CheckpointError, match=r"model\.pt"):
        FairseqCheckpoint(file)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (f"{PREFIX}.embed_tokens.weight", (60,), r"word_embeddings\.weight must have 2 dimensions, found \[60\]"),
        (f"{PREFIX}.layers.0.fc1.weight", (), r"intermediate\.dense\.weight must have 2 dimensions, found \[\]"),
        (
            f"{PREFIX}.layers.1000000000.fc1.weight",
            (40, 24),
            "config.num_hidden_layers must be a positive integer",
        ),
    ],
)
def test_tensors_that_give_no_geometry_are_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], message: str
) -> None:
    tensors = fairseq_tensors()
    del tensors["encoder.lm_head.weight"]
    file = write(tmp_path, tensors | {name: torch.zeros(shape)})
    with pytest.raises(CheckpointError, match=rf"^{file}: .*{message}"):
        FairseqCheckpoint(file)


def test_heads_that_do_not_divide_the_width_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, fairseq_tensors(), cfg={"model": {"encoder_attention_heads": 7}})
    with pytest.raises(CheckpointError, match=rf"^{file}: config\.hidden_size \(24\) must be a multiple"):
        FairseqCheckpoint(file)


@pytest.mark.parametrize(
    "pickled", [b"\x80\x02\x8c\xff.", b"\x80\x02h\x05.", b"\x80\x02X\xff\xff\xff\x7fa.", b"X"]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_pickles_are_refused(tmp_path: Path, pickled: bytes, zipped: bool) -> None:
    file = write(tmp_path, fairseq_tensors())
    if zipped:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/version", "3")
    else:
        file.write_bytes(pickled)
    with pytest.raises(CheckpointError, match=rf"^{file} is not a "):
        FairseqCheckpoint(file)


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**24))
    with pytest.raises(CheckpointError, match=rf"^{file}: its member 'archive/data.pkl' is compressed"):
        FairseqCheckpoint(file)
