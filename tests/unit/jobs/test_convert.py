"""`python -m jobs.convert`: every way in, the same numbers out, and exit code 2 for what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from jobs.convert import main
from model import (
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLModel,
)
from model.configuration.comet import CometOptions
from tests.checkpoints import write_random_checkpoint
from tests.comet_checkpoints import (
    METRICS,
    NUM_HEADS,
    comet_tensors,
    converted_options,
    write_comet,
    write_converted,
)
from tests.fairseq_checkpoints import fairseq_tensors, transformers_model
from tests.oracle import assert_close, padded_batch
from tests.tiny_tokenizer import write_tiny_sentencepiece

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40,
    max_position_embeddings=34, num_labels=3, some_unknown_key=7,
)  # fmt: skip
INPUTS = padded_batch(CONFIG, [9, 4])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = write_random_checkpoint(tmp_path / "source", CONFIG, std=0.15)
    (directory / "sentencepiece.bpe.model").write_bytes(b"the tokenizer's")
    return directory


@pytest.fixture
def fairseq(tmp_path: Path) -> Path:
    directory = tmp_path / "fairseq"
    directory.mkdir()
    state = {"model": fairseq_tensors(heads={"mnli": 3}), "cfg": {"model": {"encoder_attention_heads": 4}}}
    torch.save(state, directory / "model.pt")
    (directory / "sentencepiece.bpe.model").write_bytes(b"the tokenizer's")
    return directory


def states(directory: Path, cls: Any = XLMRobertaXLForMaskedLM) -> dict[str, torch.Tensor]:
    return dict(cls.from_pretrained(directory).state_dict())


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert text.startswith("refused: ")
    return text


def test_safetensors_to_shards(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([str(source), str(out), "--max-shard-size", "10KB"]) == 0
    assert "tensors" in capsys.readouterr().out
    assert (out / "model.safetensors.index.json").is_file()
    assert len(list(out.glob("model-*.safetensors"))) > 2
    assert (out / "sentencepiece.bpe.model").read_bytes() == b"the tokenizer's"
    for cls in (XLMRobertaXLForMaskedLM, XLMRobertaXLForSequenceClassification):
        before, after = states(source, cls), states(out, cls)
        assert all(torch.equal(after[name], before[name]) for name in before)
    config = XLMRobertaXLConfig.from_pretrained(out)
    assert config.some_unknown_key == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_dtypes(source: Path, tmp_path: Path, dtype: str) -> None:
    assert main([str(source), str(tmp_path / "out"), "--dtype", dtype]) == 0
    before, after = states(source), states(tmp_path / "out")
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor.to(getattr(torch, dtype))), name
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == dtype


def test_pickled_files_and_transformers(source: Path, tmp_path: Path) -> None:
    torch.save(load_file(source / "model.safetensors"), source / "pytorch_model.bin")
    expected = states(source)
    (source / "model.safetensors").unlink()
    out = tmp_path / "out"
    assert main([str(source), str(out)]) == 0
    assert [f.name for f in out.glob("*.bin")] == []
    assert all(torch.equal(tensor, expected[name]) for name, tensor in states(out).items())
    theirs = transformers.XLMRobertaXLForMaskedLM.from_pretrained(out, attn_implementation="eager")
    with torch.inference_mode():
        assert_close(theirs(*INPUTS).logits, XLMRobertaXLForMaskedLM.from_pretrained(source)(*INPUTS).logits)
    assert torch.equal(theirs.lm_head.bias, expected["lm_head.bias"])


def test_buffers_without_weights_are_left_out(source: Path, tmp_path: Path) -> None:
    tensors = load_file(source / "model.safetensors")
    save_file(tensors | {"roberta.embeddings.position_ids": torch.arange(34)[None]}, source / "model.safetensors")
    assert main([str(source), str(tmp_path / "out")]) == 0
    assert set(load_file(tmp_path / "out" / "model.safetensors")) == set(tensors) | {"lm_head.decoder.bias"}


def test_a_stale_index_is_passed_over_and_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    assert main([str(source), str(tmp_path / "out")]) == 0
    assert "passed over: model.safetensors.index.json" in capsys.readouterr().err
    assert all(torch.equal(tensor, states(source)[name]) for name, tensor in states(tmp_path / "out").items())


@pytest.mark.parametrize("given", ["file", "directory"])
def test_fairseq_equals_the_reference(fairseq: Path, tmp_path: Path, given: str) -> None:
    out = tmp_path / "out"
    assert main([str(fairseq / "model.pt" if given == "file" else fairseq), str(out)]) == 0
    assert (out / "sentencepiece.bpe.model").is_file()
    tensors = fairseq_tensors(heads={"mnli": 3})
    masked_lm = XLMRobertaXLForMaskedLM.from_pretrained(out)
    assert_close(masked_lm(*INPUTS).logits, transformers_model(tensors, num_attention_heads=4)(*INPUTS).logits)
    classifier = XLMRobertaXLForSequenceClassification.from_pretrained(out)
    reference = transformers_model(tensors, num_attention_heads=4, head="mnli")
    assert_close(classifier(*INPUTS).logits, reference(*INPUTS).logits)
    assert not masked_lm.load_report.new
    assert not classifier.load_report.new
    assert masked_lm.config.architectures == ["XLMRobertaXLForSequenceClassification"]


@pytest.mark.parametrize("stored", [torch.float16, torch.float32])
@pytest.mark.parametrize("dtype", ["keep", "bfloat16"])
def test_fairseq_dtypes(tmp_path: Path, stored: torch.dtype, dtype: str) -> None:
    state = {"model": fairseq_tensors(dtype=stored), "cfg": {"model": {"encoder_attention_heads": 4}}}
    torch.save(state, tmp_path / "model.pt")
    assert main([str(tmp_path / "model.pt"), str(tmp_path / "out"), "--dtype", dtype]) == 0
    expected = stored if dtype == "keep" else torch.bfloat16
    loaded = states(tmp_path / "out")
    assert {tensor.dtype for tensor in loaded.values()} == {expected}
    words = state["model"]["encoder.sentence_encoder.embed_tokens.weight"]
    assert torch.equal(loaded["roberta.embeddings.word_embeddings.weight"], words.to(expected))


def test_a_trunk_alone(source: Path, tmp_path: Path) -> None:
    XLMRobertaXLModel.from_pretrained(source, add_pooling_layer=False).save_pretrained(tmp_path / "trunk")
    assert main([str(tmp_path / "trunk"), str(tmp_path / "out")]) == 0
    found, expected = (
        XLMRobertaXLModel.from_pretrained(directory, add_pooling_layer=False)(*INPUTS)[0]
        for directory in (tmp_path / "out", source)
    )
    assert torch.equal(found, expected)


def test_comet_checkpoints(tmp_path: Path) -> None:
    tensors = write_converted(tmp_path, METRICS["xcomet"])
    out = tmp_path / "converted"
    prefix = "encoder.model."
    trunk = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    theirs = transformers.XLMRobertaXLModel.from_pretrained(out, add_pooling_layer=False)
    assert all(torch.equal(tensor, trunk[name]) for name, tensor in theirs.state_dict().items() if name in trunk)
    assert trunk.keys() <= theirs.state_dict().keys()
    stored = load_file(out / "model.safetensors")
    assert torch.equal(stored["tags.weight"], tensors["hidden2tag.weight"])
    config = XLMRobertaXLConfig.from_pretrained(out)
    assert config.architectures == ["XLMRobertaXLModel"]
    assert CometOptions.from_dict(config.comet).to_dict() == converted_options("xcomet")  # type: ignore[attr-defined]
    assert json.loads((out / "hparams.json").read_text()) == METRICS["xcomet"]
    assert (out / "sentencepiece.bpe.model").is_file()


def test_heads_of_comet_stay_in_float32(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = write_comet(tmp_path / "raw", METRICS["kiwi"])
    write_tiny_sentencepiece(tmp_path / "raw")
    arguments = [str(tmp_path / "raw"), str(tmp_path / "out"), "--num-attention-heads", str(NUM_HEADS)]
    assert main([*arguments, "--dtype", "bfloat16", "--max-shard-size", "20KB"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("bfloat16")
    stored = {name: t for file in (tmp_path / "out").glob("*.safetensors") for name, t in load_file(file).items()}
    of_trunk = {name for name in stored if name.startswith("roberta.")}
    assert {stored[name].dtype for name in of_trunk} == {torch.bfloat16}
    assert {stored[name].dtype for name in stored.keys() - of_trunk} == {torch.float32}
    assert torch.equal(stored["estimator.layers.2.bias"], tensors["estimator.ff.6.bias"])
    assert XLMRobertaXLConfig.from_pretrained(tmp_path / "out").dtype_name == "bfloat16"


def test_comet_checkpoints_that_are_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_comet(raw, METRICS["kiwi"])
    heads = ("--num-attention-heads", NUM_HEADS)
    assert "how many attention heads a model of width 32 has" in refusal(capsys, raw, out)
    found = refusal(capsys, raw, out, *heads)
    assert "name with --tokenizer the directory of facebook/xlm-roberta-xl" in found
    assert "--head is for fairseq's model.pt" in refusal(capsys, raw, out, *heads, "--head", "mnli")
    assert "--tokenizer is for COMET checkpoints" in refusal(capsys, source, out, "--tokenizer", raw)
    write_comet(raw, METRICS["kiwi"] | {"encoder_model": "MiniLM"})
    assert "encoder_model: found 'MiniLM', expected 'XLM-RoBERTa-XL'" in refusal(capsys, raw, out, *heads)
    write_comet(raw, METRICS["kiwi"], comet_tensors(METRICS["kiwi"], vocab_size=500))
    write_tiny_sentencepiece(tmp_path / "tokenizer")
    found = refusal(capsys, raw, out, *heads, "--tokenizer", tmp_path / "tokenizer")
    assert "has 602 pieces, expected at most the 500 rows of the embeddings" in found
    (raw / "checkpoints/model.ckpt").unlink()
    assert "is not a readable torch file" in refusal(capsys, raw, out, *heads)
    assert not out.exists()


def test_out_must_be_new(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert "must be new or empty" in refusal(capsys, source, out)
    assert main([str(source), str(out), "--overwrite"]) == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert "another directory than SOURCE" in refusal(capsys, source, source, "--overwrite")


def test_refused_input(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert "max_shard_size" in refusal(capsys, source, out, "--max-shard-size", "lots")
    assert "--head" in refusal(capsys, source, out, "--head", "mnli")
    assert "config.json is not there" in refusal(capsys, tmp_path / "nothing here", out)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    assert "model_type must be 'xlm-roberta-xl', found 'bert'" in refusal(capsys, source, out)
    (source / "config.json").write_text(json.dumps(config | {"intermediate_size": 41}))
    assert "must be [41, 24], found [40, 24]" in refusal(capsys, source, out)
    (source / "config.json").write_text(json.dumps(config | {"num_labels": 4, "id2label": None}))
    assert "classifier.out_proj.weight must be [4, 24]" in refusal(capsys, source, out)
    (source / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    found = refusal(capsys, source, out)
    assert "num_hidden_layers is 3 in the configuration and 2 in the weights; correct config.json" in found
    (source / "config.json").write_text(json.dumps(config))
    data = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(data[:-10])
    assert "not a readable safetensors file" in refusal(capsys, source, out)
    assert not out.exists()


def test_the_command_line(source: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jobs.convert", str(source), str(tmp_path / "out"), "--dtype", "bfloat16"]
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "bfloat16" in result.stdout
    again = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "refused" in again.stderr
