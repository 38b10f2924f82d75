"""Speed beside COMET's own on this machine: `python -m tests.comet.speed ENVIRONMENT --data DIR`.

A reference-free checkpoint like CometKiwi-XL (width 2560, 32 heads, 250,880 embeddings, a sparsemax mix of all
layers, an estimator of 2560 and 1280), but with 4 layers and random weights. Pairs are sentences of XNLI, English
as the source and the other 14 languages in turn as the translation. `--data` has XNLI and the released tokenizer,
in folders `xnli` and `xlm-roberta-tokenizer`.

Both sides run on the same threads, one after the other, in one call of this script. Loading is not counted, and
the first pairs are scored once before. Tokenizing is counted. COMET's figures are of `predict` with the batches of
`comet-score`: 16 pairs, sorted by the length of the source, padded. It is run in each dtype: `comet-score` casts
checkpoints to float16, on CPUs too; its Python interface leaves them in float32. Ours are of the path of a row
without Ray: tokenize, batch, compute, decode.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from jobs.convert.command import main as convert
from model import ShardGroup
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank_settings import RankSettings
from tests.comet.checkpoints import ROOT, CometCheckpoint, Geometry, write_pretrained, write_raw
from tests.comet.environment import python_of
from tests.pipeline_in_process import Encoded, compute_head_columns, encode_in_process

XL = Geometry(num_layers=4, width=2560, num_heads=32, ffn_size=10240, vocab_size=250_880)
CHECKPOINT = CometCheckpoint(
    "speed", 1, "unified_metric",
    {"input_segments": ["mt", "src"], "layer_transformation": "sparsemax", "layer_norm": False,
     "hidden_sizes": [2560, 1280], "activations": "Tanh", "final_activation": None},
    (0.3, 0.1, -0.8, 0.4, 0.6),
)  # fmt: skip
DTYPES = ("float32", "float16", "bfloat16")
NUM_WARM_UP = 16
TOKEN_BUDGET = 8192


def main() -> None:
    """Time both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, help="made by tests.comet.environment")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=112)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    pairs = xnli_pairs(options.data / "xnli", options.pairs)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        vocab_file = options.data / "xlm-roberta-tokenizer/sentencepiece.bpe.model"
        write_pretrained(folder / "pretrained", vocab_file, XL)
        raw = write_raw(folder / "raw", CHECKPOINT, str(folder / "pretrained"), XL)
        arguments = ["--tokenizer", str(folder / "pretrained"), "--num-attention-heads", str(XL.num_heads)]
        assert convert([str(raw), str(folder / "ours"), "--dtype", "bfloat16", *arguments]) == 0
        seconds, num_tokens = time_ours(folder, pairs, options.threads)
        theirs = time_comet(options.environment, folder, pairs, options.threads)
    print(f"{len(pairs)} pairs, {num_tokens} tokens, {options.threads} threads, torch {torch.__version__}")
    print(f"this package, bfloat16: {seconds:.1f} s, {len(pairs) / seconds:.2f} pairs/s")
    for dtype, (found, version) in theirs.items():
        rate = f"{len(pairs) / found:.2f} pairs/s"
        print(f"COMET {version}, {dtype}: {found:.1f} s, {rate}; ours {found / seconds:.1f} x")


def xnli_pairs(folder: Path, num_pairs: int) -> list[dict[str, str]]:
    """English premises and their translations, the languages in turn."""
    premises = {
        path.name: pq.read_table(next(path.glob("validation*")), columns=["premise"])["premise"].to_pylist()
        for path in sorted(folder.iterdir())
        if path.is_dir()
    }
    english = premises.pop("en")
    languages = list(premises)
    # Each premise stands there three times, beside three hypotheses.
    return [
        {"source": english[3 * n], "translation": premises[languages[n % len(languages)]][3 * n]}
        for n in range(num_pairs)
    ]


def time_ours(folder: Path, pairs: list[dict[str, str]], num_threads: int) -> tuple[float, int]:
    """Seconds, and tokens that passed the trunk."""
    torch.set_num_threads(num_threads)
    heads = {"quality": {"task": "translation-quality", "weights": str(folder / "ours")}}

    def encoded(name: str, rows: list[dict[str, str]]) -> Encoded:
        (folder / name).mkdir()
        return encode_in_process(folder / name, pa.Table.from_pylist(rows), heads, folder / "ours")

    def compute(rows: Encoded) -> Any:
        def run(batches: Any) -> Any:
            return (runner.launch(batch).results() for batch in batches)

        return compute_head_columns(
            rows.rows, rows.fragment, rows.heads, rows.tokenizer, run, token_budget=TOKEN_BUDGET
        )

    first = encoded("first", pairs[:NUM_WARM_UP])
    settings = RankSettings("cpu", "bfloat16", num_threads, first.tokenizer.vocab_size)
    runner = ModelRunner(first.heads, settings, ShardGroup())
    compute(first)
    before = runner.num_trunk_tokens
    begin = time.perf_counter()
    compute(encoded("all", pairs))
    return time.perf_counter() - begin, runner.num_trunk_tokens - before


def time_comet(
    environment: Path, folder: Path, pairs: list[dict[str, str]], num_threads: int
) -> dict[str, tuple[float, str]]:
    """Seconds by dtype, with COMET's version."""
    request, answer = folder / "request.json", folder / "answer.json"
    asked = {"checkpoint": str(folder / "raw/checkpoints/model.ckpt"), "pairs": pairs, "dtypes": DTYPES,
             "num_threads": num_threads, "num_warm_up": NUM_WARM_UP}  # fmt: skip
    request.write_text(json.dumps(asked), encoding="utf-8")
    command = [str(python_of(environment)), "-m", "tests.comet.speed_of_comet", str(request), str(answer)]
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(num_threads)}
    subprocess.run(command, check=True, cwd=ROOT, env=variables)
    found = json.loads(answer.read_text(encoding="utf-8"))
    return {dtype: (seconds, found["version"]) for dtype, seconds in found["seconds"].items()}


if __name__ == "__main__":
    main()
