"""Convert a checkpoint to sharded safetensors: `python -m jobs.convert SOURCE OUT [--dtype bfloat16]`.

SOURCE is a directory in Hugging Face layout (safetensors or `.bin`), a hub id such as facebook/xlm-roberta-xl,
the `model.pt` of fairseq's XLM-R XL or XXL (or its directory), or the directory of a COMET checkpoint on XL or XXL
(`hparams.yaml` and `checkpoints/model.ckpt`: CometKiwi, UniTE, XCOMET). OUT gets `model.safetensors` or several
files with an index, `config.json` and the files of the tokenizer; this package and Transformers both load it.
COMET checkpoints have no tokenizer: `--tokenizer` names the directory of the model that they were trained from.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.terminal.arguments import add_version
from jobs.terminal.streams import accept_any_text
from pipeline.exit_codes import DONE, REFUSED

DTYPES = ("float32", "bfloat16", "float16")


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
        "--num-attention-heads", type=int, help="fairseq, COMET: number of attention heads, if no file says it"
    )
    parser.add_argument(
        "--tokenizer", metavar="DIR", help="COMET: directory or hub id of the model that it was trained from"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    options = parse_arguments(arguments)
    # Imported late: it loads torch, which --help and wrong arguments do not need.
    from jobs.convert.conversion import convert  # noqa: PLC0415

    try:
        convert(options)
    except (ValueError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    return DONE
