"""Convert a checkpoint to sharded safetensors: `python -m jobs.convert SOURCE OUT [--dtype bfloat16]`.

SOURCE is a directory in Hugging Face layout (safetensors or `.bin`), a hub id such as facebook/xlm-roberta-xl,
or the `model.pt` of fairseq's XLM-R XL or XXL (or its directory). OUT gets `model.safetensors` or several files
with an index, `config.json` and the files of the tokenizer; this package and Transformers both load it.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jobs.terminal.arguments import add_version
from jobs.terminal.streams import accept_any_text
from model.checkpoints.errors import CheckpointError
from model.checkpoints.hub import CONFIG_FILE, TOKENIZER_FILES, checkpoint_directory, tokenizer_directory
from model.checkpoints.reader import Checkpoint, canonical
from model.checkpoints.tensor_files import StoredTensors
from model.config import XLMRobertaXLConfig

if TYPE_CHECKING:
    # All that loads torch is imported late, as --help needs none of it.
    import torch
    from torch import Tensor, nn

    from model.checkpoints.writer import TensorSpec

DONE, REFUSED = 0, 2
DTYPES = ("float32", "bfloat16", "float16")


class Source(StoredTensors, Protocol):
    """Tensors under their Hugging Face names, whatever the layout of the files."""

    def read(self, name: str) -> "Tensor":
        """One tensor in the stored dtype."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_version(parser)
    parser.add_argument("source", metavar="SOURCE", help="directory, hub id, or fairseq's model.pt")
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to write; must be new or empty")
    parser.add_argument("--dtype", choices=("keep", *DTYPES), default="keep", help="default: as stored")
    parser.add_argument("--max-shard-size", default="5GB", help="maximum bytes per file; default 5GB")
    parser.add_argument("--overwrite", action="store_true", help="replace the checkpoint in OUT")
    parser.add_argument("--head", help="fairseq: the classification head to convert, if there are several")
    parser.add_argument(
        "--num-attention-heads", type=int, help="fairseq: number of attention heads, if the file does not say"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    try:
        convert(options)
    except (ValueError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    return DONE


def convert(options: argparse.Namespace) -> None:
    """Read the source, check that it is complete, and write it."""
    import torch  # noqa: PLC0415

    from model.checkpoints.writer import parse_size, write_checkpoint  # noqa: PLC0415

    out: Path = options.out
    max_shard_size = parse_size(options.max_shard_size)
    source, config, directory = open_source(options)
    if out.resolve() == directory.resolve():
        raise ValueError(f"OUT must be another directory than SOURCE, found {out} for both")
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not options.overwrite:
        raise ValueError(f"{out} must be new or empty; --overwrite replaces the checkpoint in it")
    check_coverage(source, config)
    dtype = None if options.dtype == "keep" else getattr(torch, options.dtype)
    specs, stored_names = plan(source, dtype)
    write_checkpoint(out, specs, lambda name: source.read(stored_names[name]), max_shard_size=max_shard_size)
    written = specs[0].dtype
    changes = {} if config.architectures else {"architectures": architectures(source)}
    config.copy(torch_dtype=written, **changes).save_pretrained(out)
    for name in TOKENIZER_FILES:
        if (directory / name).is_file():
            shutil.copyfile(directory / name, out / name)
    num_bytes = sum(spec.num_bytes for spec in specs)
    print(f"{out}: {len(specs)} tensors, {num_bytes / 1e9:.2f} GB, {str(written).removeprefix('torch.')}")


def open_source(options: argparse.Namespace) -> tuple[Source, XLMRobertaXLConfig, Path]:
    """The tensors, their configuration, and the directory that may contain the tokenizer's files."""
    from model.conversion.fairseq import MODEL_FILE, FairseqCheckpoint  # noqa: PLC0415

    path = Path(options.source)
    file = path if path.is_file() else path / MODEL_FILE
    if file.is_file() and not (path / CONFIG_FILE).is_file():
        fairseq = FairseqCheckpoint(file, head=options.head, num_attention_heads=options.num_attention_heads)
        return fairseq, fairseq.config, file.parent
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
    return checkpoint, config, directory


def check_coverage(source: Source, config: XLMRobertaXLConfig) -> None:
    """Raise CheckpointError unless trunk and heads are complete, and every shape fits the configuration."""
    import torch  # noqa: PLC0415

    from model.checkpoints.parameters import parameters_of, shapes_of  # noqa: PLC0415
    from model.modeling.checkpoint_fit import refuse_misfit, refuse_other_layers  # noqa: PLC0415
    from model.modeling.classifiers import XLMRobertaXLForSequenceClassification  # noqa: PLC0415
    from model.modeling.language_models import XLMRobertaXLForMaskedLM  # noqa: PLC0415

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


def plan(source: Source, dtype: "torch.dtype | None") -> "tuple[list[TensorSpec], dict[str, str]]":
    """The tensors to write, and for each name in the file the name in the source.

    The bias of the LM head is written under both of its names, since Transformers does not load the one it saves.
    """
    from model.checkpoints.writer import TensorSpec  # noqa: PLC0415

    stored_names = {name: name for name in source.names}
    for one, other in (("lm_head.bias", "lm_head.decoder.bias"), ("lm_head.decoder.bias", "lm_head.bias")):
        if one in stored_names:
            stored_names.setdefault(other, stored_names[one])
    specs = [
        TensorSpec(name, tuple(source.shape(stored)), dtype or source.read(stored).dtype)
        for name, stored in stored_names.items()
    ]
    return specs, stored_names


def architectures(source: Source) -> list[str]:
    """The class that has these tensors, for `architectures` in `config.json`."""
    names = set(source.names)
    if "classifier.out_proj.weight" in names:
        return ["XLMRobertaXLForSequenceClassification"]
    return ["XLMRobertaXLForMaskedLM" if "lm_head.dense.weight" in names else "XLMRobertaXLModel"]


if __name__ == "__main__":
    sys.exit(main())
