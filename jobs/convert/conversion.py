"""Open a checkpoint, check that it is complete, and write it as sharded safetensors."""

import argparse
import json
import shutil
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from model.checkpoints.errors import CheckpointError
from model.checkpoints.hub import CONFIG_FILE, TOKENIZER_FILES, checkpoint_directory, tokenizer_directory
from model.checkpoints.parameters import parameters_of, shapes_of
from model.checkpoints.reader import Checkpoint, canonical
from model.checkpoints.tensor_files import StoredTensors
from model.checkpoints.writer import TensorSpec, parse_size, write_checkpoint
from model.config import XLMRobertaXLConfig
from model.conversion.comet import CometCheckpoint
from model.conversion.comet_hparams import HPARAMS_FILE
from model.conversion.fairseq import MODEL_FILE, FairseqCheckpoint
from model.modeling.checkpoint_fit import refuse_misfit, refuse_other_layers
from model.modeling.classifiers import XLMRobertaXLForSequenceClassification
from model.modeling.language_models import XLMRobertaXLForMaskedLM
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer

HPARAMS_JSON = "hparams.json"
"""The hyperparameters of a COMET checkpoint, in OUT."""


class Source(StoredTensors, Protocol):
    """Tensors under their Hugging Face names, whatever the layout of the files."""

    def read(self, name: str) -> Tensor:
        """One tensor in the stored dtype."""


@dataclass(frozen=True)
class Opened:
    """A source.

    Attributes:
        directory: where it lies.
        tokenizer: the directory that may contain the tokenizer's files.
        fp32_names: tensors that are written in float32 whatever the dtype of the rest.
        hparams: the hyperparameters of a COMET checkpoint.
    """

    tensors: Source
    config: XLMRobertaXLConfig
    directory: Path
    tokenizer: Path
    fp32_names: Collection[str] = ()
    hparams: Mapping[str, Any] = field(default_factory=dict)


def convert(options: argparse.Namespace) -> None:
    """Read the source, check that it is complete, and write it."""
    out: Path = options.out
    max_shard_size = parse_size(options.max_shard_size)
    opened = open_source(options)
    source, config = opened.tensors, opened.config
    if out.resolve() == opened.directory.resolve():
        raise ValueError(f"OUT must be another directory than SOURCE, found {out} for both")
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not options.overwrite:
        raise ValueError(f"{out} must be new or empty; --overwrite replaces the checkpoint in it")
    check_coverage(source, config)
    dtype = None if options.dtype == "keep" else getattr(torch, options.dtype)
    specs, stored_names = plan(source, dtype, opened.fp32_names)
    write_checkpoint(out, specs, lambda name: source.read(stored_names[name]), max_shard_size=max_shard_size)
    written = next(spec.dtype for spec in specs if spec.name not in opened.fp32_names)
    changes = {} if config.architectures else {"architectures": architectures(source)}
    config.copy(torch_dtype=written, **changes).save_pretrained(out)
    for name in TOKENIZER_FILES:
        if (opened.tokenizer / name).is_file():
            shutil.copyfile(opened.tokenizer / name, out / name)
    if opened.hparams:
        text = json.dumps(opened.hparams, indent=2, ensure_ascii=False, default=str)
        (out / HPARAMS_JSON).write_text(text + "\n", encoding="utf-8")
    num_bytes = sum(spec.num_bytes for spec in specs)
    print(f"{out}: {len(specs)} tensors, {num_bytes / 1e9:.2f} GB, {str(written).removeprefix('torch.')}")


def open_source(options: argparse.Namespace) -> Opened:
    """Find out what the source is, and open it."""
    path = Path(options.source)
    if (path / HPARAMS_FILE).is_file():
        return open_comet(path, options)
    if options.tokenizer is not None:
        raise ValueError(f"--tokenizer is for COMET checkpoints, found {options.source} without {HPARAMS_FILE}")
    file = path if path.is_file() else path / MODEL_FILE
    if file.is_file() and not (path / CONFIG_FILE).is_file():
        fairseq = FairseqCheckpoint(file, head=options.head, num_attention_heads=options.num_attention_heads)
        return Opened(fairseq, fairseq.config, file.parent, file.parent)
    if options.head is not None or options.num_attention_heads is not None:
        raise ValueError(
            f"--head and --num-attention-heads are for fairseq's {MODEL_FILE}, found {options.source}"
        )
    directory = checkpoint_directory(options.source)
    tokenizer_directory(options.source)
    config = XLMRobertaXLConfig.from_pretrained(directory)
    checkpoint = Checkpoint(directory)
    if checkpoint.weight_files.notice:
        print(f"{directory}: {checkpoint.weight_files.notice}", file=sys.stderr)
    return Opened(checkpoint, config, directory, directory)


def open_comet(directory: Path, options: argparse.Namespace) -> Opened:
    """Open a COMET checkpoint, which needs a tokenizer from elsewhere."""
    if options.head is not None:
        raise ValueError(f"--head is for fairseq's {MODEL_FILE}, found {directory} with {HPARAMS_FILE}")
    checkpoint = CometCheckpoint(directory, num_attention_heads=options.num_attention_heads)
    tokenizer = tokenizer_directory(options.tokenizer or str(directory))
    vocabulary = tokenizer / TOKENIZER_FILES[0]
    if not vocabulary.is_file():
        base = checkpoint.hparams.get("pretrained_model", "the model that it was trained from")
        raise ValueError(f"{vocabulary} is not there; name with --tokenizer the directory of {base}")
    num_pieces, num_rows = XLMRobertaXLTokenizer(vocabulary).vocab_size, checkpoint.config.vocab_size
    if num_pieces > num_rows:
        raise ValueError(
            f"{vocabulary} has {num_pieces} pieces, expected at most the {num_rows} rows of the embeddings in "
            f"{checkpoint.path}; name the tokenizer that it was trained with"
        )
    return Opened(
        checkpoint, checkpoint.config, directory, tokenizer, frozenset(checkpoint.head_names), checkpoint.hparams
    )


def check_coverage(source: Source, config: XLMRobertaXLConfig) -> None:
    """Raise CheckpointError unless trunk and heads are complete, and every shape fits the configuration."""
    refuse_other_layers(config, source.names)
    with torch.device("meta"):
        masked_lm = XLMRobertaXLForMaskedLM(config)
        classifier = XLMRobertaXLForSequenceClassification(config).classifier
    stored = {canonical(name) for name in source.names}
    modules: list[tuple[nn.Module, str]] = [(masked_lm, "")]
    if "classifier.out_proj.weight" in stored:
        modules.append((classifier, "classifier"))
    has_lm_head = any(name.startswith("lm_head.") for name in stored)
    missing = []
    for module, prefix in modules:
        refuse_misfit(config, shapes_of(module, prefix), source)
        missing += [
            entry.names[0]
            for entry in parameters_of(module, prefix)
            if not stored & {canonical(name) for name in entry.names}
            and (has_lm_head or not entry.names[0].startswith("lm_head."))
        ]
    if missing:
        raise CheckpointError(f"{len(missing)} tensors are missing: {', '.join(missing[:5])}")


def plan(
    source: Source, dtype: torch.dtype | None, fp32_names: Collection[str] = ()
) -> tuple[list[TensorSpec], dict[str, str]]:
    """The tensors to write, and for each name in the file the name in the source.

    The bias of the LM head is written under both of its names, since Transformers does not load the one it saves.
    """
    stored_names = {name: name for name in source.names}
    for one, other in (("lm_head.bias", "lm_head.decoder.bias"), ("lm_head.decoder.bias", "lm_head.bias")):
        if one in stored_names:
            stored_names.setdefault(other, stored_names[one])
    specs = [
        TensorSpec(
            name,
            tuple(source.shape(stored)),
            torch.float32 if stored in fp32_names else dtype or source.read(stored).dtype,
        )
        for name, stored in stored_names.items()
    ]
    return specs, stored_names


def architectures(source: Source) -> list[str]:
    """The class that has these tensors, for `architectures` in `config.json`."""
    names = set(source.names)
    if "classifier.out_proj.weight" in names:
        return ["XLMRobertaXLForSequenceClassification"]
    return ["XLMRobertaXLForMaskedLM" if "lm_head.dense.weight" in names else "XLMRobertaXLModel"]
