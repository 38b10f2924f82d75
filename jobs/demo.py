"""The main job on a small scale: `python -m jobs.demo` makes a model and a sample, and annotates the sample.

The model has the architecture of XLM-RoBERTa-XL but is small and random: what the demo shows is the pipeline,
not the predictions.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import sentencepiece as spm
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file

from jobs.annotate import main as annotate
from jobs.demo_sentences import SENTENCES
from jobs.ending import DONE
from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLForSequenceClassification

DEMO = Path("demo")
JOB = """\
# The demo's job; see the README for what else can be said here.
[model]
path = "demo/model"

[input]
path = "demo/sample.parquet"

[output]
path = "demo/annotated"

[heads.topic]
task = "text-classification"

[heads.vector]
task = "embedding"

[heads.loss]
task = "masked-lm-loss"
"""


def make_sample(path: Path) -> None:
    """Every sentence, a long document, and rows that cannot be annotated."""
    rows = [*SENTENCES, ("en", " ".join(text for _, text in SENTENCES)), ("en", ""), ("en", None)]
    table = pa.table(
        {
            "id": [f"demo-{i:03d}" for i in range(len(rows))],
            "lang": [lang for lang, _ in rows],
            "text": [text for _, text in rows],
        }
    )
    pq.write_table(table, path)


def make_model(directory: Path) -> None:
    """A random model of the XL architecture with a tokenizer trained on the sentences: seconds, 1 MB."""
    directory.mkdir(parents=True)
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter([text for _, text in SENTENCES]),
        model_prefix=str(directory / "sentencepiece.bpe"),
        vocab_size=900,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
    )
    (directory / "sentencepiece.bpe.vocab").unlink()
    num_pieces = spm.SentencePieceProcessor(model_file=str(directory / "sentencepiece.bpe.model")).vocab_size()
    config = XLMRobertaXLConfig(
        vocab_size=num_pieces + 2,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=512,
        id2label={0: "travel", 1: "home", 2: "nature"},
        torch_dtype="float32",
    )
    torch.manual_seed(0)
    masked_lm = XLMRobertaXLForMaskedLM(config)
    classifier = XLMRobertaXLForSequenceClassification(config)
    tensors = dict(masked_lm.named_parameters())
    tensors |= {k: v for k, v in classifier.named_parameters() if k.startswith("classifier.")}
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, directory / "model.safetensors")
    config.save_pretrained(directory)


def show(console: Console) -> None:
    """A few rows of the output as a table."""
    table = Table("lang", "text", "topic", "loss", "tokens", "error")
    rows = ds.dataset(DEMO / "annotated").to_table().to_pylist()
    for row in [*rows[:36:4], *rows[-3:]]:
        text = row["text"] or ""
        table.add_row(
            row["lang"],
            text if len(text) <= 44 else text[:43] + "…",
            "" if row["topic"] is None else f"{row['topic']['label']} {row['topic']['score']:.2f}",
            "" if row["loss"] is None else f"{row['loss']['loss']:.2f}",
            str(row["num_tokens"]),
            row["error"] or "",
        )
    console.print(table)


def main() -> int:
    """Make what is not there yet, run the job, show what came out."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    job = DEMO / "job.toml"
    if not job.exists():
        console.print("making a small random model of the XL architecture and a sample in demo/ …")
        make_model(DEMO / "model")
        make_sample(DEMO / "sample.parquet")
        job.write_text(JOB, encoding="utf-8")
    code = annotate([str(job), "--address", "local"])
    if code != DONE:
        return code
    show(console)
    console.print(
        "\nThe weights are random, so topics and losses mean nothing; the plumbing is the real one.\n"
        "The Parquet is in demo/annotated. Next:\n"
        "  .venv/bin/python -m jobs.annotate demo/job.toml --plan\n"
        "  .venv/bin/python -m jobs.annotate demo/job.toml --set input.path=YOUR.parquet "
        "--set output.path=out\n"
        "  .venv/bin/python -m jobs.annotate demo/job.toml --set model.path=YOUR/xlm-roberta-xl "
        "--set output.path=out-xl",
        soft_wrap=True,
    )
    return DONE


if __name__ == "__main__":
    sys.exit(main())
