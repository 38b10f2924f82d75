"""Measure the whole job, Parquet to Parquet through Ray, and common recipes on the same file."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch

from jobs.benchmark.flops import trunk_flops
from jobs.benchmark.rank_batches import shard_cases
from jobs.benchmark.scenarios import MAX_LENGTH, PARAGRAPH_SOURCES
from jobs.benchmark.timing import Case
from jobs.benchmark.trunks import draw_weights
from model import XLMRobertaXLConfig, XLMRobertaXLModel, XLMRobertaXLTokenizer
from model.tokenizer.files import find_vocab_file

WHOLE_JOB = "whole job"
# Name, required package, module to run.
_RECIPES = (
    ("Ray Data + Transformers", "transformers", "jobs.benchmark.recipe_ray_data"),
    ("sentence-transformers", "sentence_transformers", "jobs.benchmark.recipe_sentence_transformers"),
)
_FEW_ROWS = 4
_JOB = """\
[model]
path = "{model}"
dtype = "{dtype}"
device = "{device}"
token_budget = {token_budget}
replicas = {replicas}

[input]
path = "{file}"
columns = []
max_fragment_rows = {max_fragment_rows}

[output]
path = "{output}"

[heads.vector]
task = "embedding"
truncate = {truncate}
"""


@dataclass(frozen=True)
class Job:
    """A job that embeds every row of a file; fields as in a job's configuration, values as in TOML."""

    model: Path
    file: Path
    output: Path
    dtype: str = "auto"
    device: str = "auto"
    token_budget: int = 8192
    max_fragment_rows: int = 2048
    truncate: str = "false"
    replicas: int = 1


def whole_job_cases(options: Namespace, config: XLMRobertaXLConfig, stack: ExitStack) -> list[Case]:
    """`jobs.annotate` with an embedding on paragraphs, and on a few of them, which measures the start-up.

    Also the recipes whose packages are installed, and on a GPU batches through a model runner alone. Models, files
    and outputs are in a temporary folder.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    tokenizer = XLMRobertaXLTokenizer.from_pretrained(options.tokenizer)
    dtype = getattr(torch, options.dtype)
    model = write_random_model(folder / "model", config, options.tokenizer, dtype, options.device)
    texts = paragraphs(options.corpus, options.rows)
    all_lengths = tokenizer.encode_batch(texts, max_length=MAX_LENGTH).lengths.tolist()
    cases = []
    if options.device == "cuda":
        for form in (options.dtype, *options.quantized):
            cases += shard_cases(
                model, config, all_lengths, token_budget=options.token_budget, dtype=form, device="cuda"
            )
    for size, num_rows in (("all", len(texts)), ("few", _FEW_ROWS)):
        file = folder / f"{size}.parquet"
        chosen, lengths = texts[:num_rows], all_lengths[:num_rows]
        pq.write_table(pa.table({"text": chosen}), file)
        for name, command in _commands(options):
            cases.append(
                Case(
                    f"{name}: {len(chosen)} rows",
                    partial(command, options, model, file, folder / "out"),
                    sum(lengths),
                    trunk_flops(config, lengths),
                    WHOLE_JOB,
                    warms_up=False,
                )
            )
    return cases


def _commands(options: Namespace) -> list[tuple[str, Callable[..., None]]]:
    """By name, the commands: ours in every form of the layers, and the recipes whose packages are installed."""
    ours = [("jobs.annotate", partial(_annotate, options.dtype))]
    ours += [(f"jobs.annotate in {dtype}", partial(_annotate, dtype)) for dtype in options.quantized]
    if options.no_peers:
        return [*ours]
    recipes = [
        (f"{name} {version(package)}", partial(_recipe, module))
        for name, package, module in _RECIPES
        if importlib.util.find_spec(package) is not None
    ]
    return [*ours, *recipes]


def without_start(cases: Sequence[Case]) -> list[Case]:
    """For each command, all rows minus the few: its cost without starting Ray and loading the model."""
    jobs = [case for case in cases if case.group == WHOLE_JOB]
    commands: dict[str, list[Case]] = {}
    for case in jobs:
        commands.setdefault(case.name.split(":")[0], []).append(case)
    return [
        Case(
            f"{name}: without start",
            lambda: None,
            many.num_tokens - few.num_tokens,
            many.flops - few.flops,
            WHOLE_JOB,
            seconds=[all_s - few_s for all_s, few_s in zip(many.seconds, few.seconds, strict=True)],
        )
        for name, (many, few) in commands.items()
    ]


def write_random_model(
    directory: Path, config: XLMRobertaXLConfig, tokenizer: Path, dtype: torch.dtype, device: str = "cpu"
) -> Path:
    """Write a checkpoint of random weights, drawn on a device, with its tokenizer."""
    with torch.device("meta"):
        model = XLMRobertaXLModel(config, add_pooling_layer=False)
    draw_weights(model, dtype, device)
    # In one file, which a recipe links.
    model.save_pretrained(directory, max_shard_size="1TB")
    shutil.copy(find_vocab_file(tokenizer), directory)
    return directory


def paragraphs(corpus: Path, num_rows: int) -> list[str]:
    """Texts of the length of a paragraph, in a random order."""
    texts = ds.dataset(corpus).to_table(columns=["text"], filter=ds.field("source").isin(PARAGRAPH_SOURCES))[
        "text"
    ]
    order = np.random.default_rng(0).permutation(len(texts))[:num_rows]
    return list(texts.take(order).to_pylist())


def _annotate(dtype: str, options: Namespace, model: Path, file: Path, output: Path) -> None:
    # Truncated as in the recipes, which have no windows.
    run_job(Job(model, file, output, dtype, options.device, options.token_budget, truncate="true"))


def run_job(job: Job, *options: str) -> None:
    """Run `jobs.annotate` with these options and an empty output, in a process of its own.

    Raises RuntimeError if it fails.
    """
    shutil.rmtree(job.output, ignore_errors=True)
    run_program([sys.executable, "-m", "jobs.annotate", str(write_job(job)), "--address", "local", *options])


def write_job(job: Job) -> Path:
    """Write the job file beside its input."""
    file = job.file.with_suffix(".toml")
    file.write_text(_JOB.format(**vars(job)), encoding="utf-8")
    return file


def _recipe(module: str, options: Namespace, model: Path, file: Path, output: Path) -> None:
    output = output.with_name(module)
    shutil.rmtree(output, ignore_errors=True)
    arguments = [str(model), str(file), str(output), options.dtype, options.device]
    run_program([sys.executable, "-m", module, *arguments])


def run_program(command: list[str]) -> None:
    """Run a program. Raises RuntimeError with the end of its stderr if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command[1:3])} ended with {result.returncode}: {result.stderr[-2000:]}")
