"""Measure everything but the model: the whole job with a trunk of eight dimensions, on growing parts of a corpus.

Figures exclude the start: the time of a run minus that of a run on a few rows in the same round.
"""

import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch

from jobs.benchmark.timing import Case, measure
from jobs.benchmark.whole_job import Job, run_job, run_program, write_random_model
from model import XLMRobertaXLConfig, XLMRobertaXLTokenizer

FEW_ROWS = 4
SMALL_FRAGMENT_ROWS = 2
NUM_SMALL_FRAGMENTS = 250
MULTIPLES = (1, 4, 16)
# Threads of a rank would wait for one another at every product, however small.
_ONE_THREAD = ("--set", "model.cpus_per_rank=1")
COLUMNS = ("what", "rows", "fragments", "tokens", "seconds", "tokens/s", "ms a fragment", "spread")


@dataclass(frozen=True)
class Run:
    """A case with its numbers of rows and fragments."""

    case: Case
    num_rows: int
    num_fragments: int


def null_config(vocab_size: int) -> XLMRobertaXLConfig:
    """One layer of eight dimensions: the code path of XL with hardly any arithmetic."""
    return XLMRobertaXLConfig(
        vocab_size=vocab_size, hidden_size=8, intermediate_size=8, num_attention_heads=1, num_hidden_layers=1
    )


def measure_plumbing(options: Namespace) -> list[dict[str, Any]]:
    """Time 1, 4 and 16 times `options.rows` rows, and `NUM_SMALL_FRAGMENTS` and four times as many fragments.

    The small fragments also pass a bare chain of Ray Data (`jobs.benchmark.bare_chain`).
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = null_config(options.vocab_size)
        model = write_random_model(folder / "model", config, options.tokenizer, torch.float32)
        tokenizer = XLMRobertaXLTokenizer.from_pretrained(options.tokenizer)
        texts = ds.dataset(options.corpus).to_table(columns=["text"])["text"]
        few = _run("few rows", folder, model, tokenizer, texts[:FEW_ROWS], 2048)
        runs = [_run(f"rows x {n}", folder, model, tokenizer, texts[: n * options.rows], 2048) for n in MULTIPLES]
        for n in MULTIPLES[:2]:
            chosen = texts[: n * NUM_SMALL_FRAGMENTS * SMALL_FRAGMENT_ROWS]
            runs.append(_run(f"fragments x {n}", folder, model, tokenizer, chosen, SMALL_FRAGMENT_ROWS))
        bare = [
            _bare("bare chain, few", folder, texts[:FEW_ROWS], 2048),
            _bare("bare chain", folder, texts[: NUM_SMALL_FRAGMENTS * SMALL_FRAGMENT_ROWS], SMALL_FRAGMENT_ROWS),
        ]
        cases = [run.case for run in (few, *runs, *bare)]
        measure(cases, options.rounds, device="cpu", tell=lambda line: print(line, file=sys.stderr))
        return [figures(run, few) for run in runs] + [figures(bare[1], bare[0])]


def _run(
    name: str, folder: Path, model: Path, tokenizer: XLMRobertaXLTokenizer, texts: pa.ChunkedArray, size: int
) -> Run:
    file = folder / f"{name}.parquet"
    pq.write_table(pa.table({"text": texts}), file, row_group_size=size)
    num_tokens = int(tokenizer.encode_batch(texts.to_pylist(), max_length=None).row_offsets[-1])
    job = Job(model, file, folder / f"{name}-out", max_fragment_rows=size)
    case = Case(name, lambda: run_job(job, *_ONE_THREAD), num_tokens, 0, "plumbing", warms_up=False)
    return Run(case, len(texts), -(-len(texts) // size))


def _bare(name: str, folder: Path, texts: pa.ChunkedArray, size: int) -> Run:
    file = folder / f"{name}.parquet"
    pq.write_table(pa.table({"text": texts}), file, row_group_size=size)
    command = [sys.executable, "-m", "jobs.benchmark.bare_chain", str(file), str(size)]
    case = Case(name, lambda: run_program(command), 0, 0, "plumbing", warms_up=False)
    return Run(case, len(texts), -(-len(texts) // size))


def figures(run: Run, few: Run) -> dict[str, Any]:
    """The figures of a run, minus the time of the few rows in the same round."""
    seconds = [mine - start for mine, start in zip(run.case.seconds, few.case.seconds, strict=True)]
    median = statistics.median(seconds)
    return {
        "name": run.case.name,
        "num_rows": run.num_rows,
        "num_fragments": run.num_fragments,
        "num_tokens": run.case.num_tokens,
        "seconds": seconds,
        "median_s": median,
        "tokens_per_s": run.case.num_tokens / median,
        "ms_per_fragment": 1000 * median / run.num_fragments,
        "spread": (max(seconds) - min(seconds)) / median,
    }


def rows(found: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The figures as cells of `COLUMNS`."""
    return [
        (
            run["name"],
            f"{run['num_rows']:,}",
            f"{run['num_fragments']:,}",
            f"{run['num_tokens']:,}" if run["num_tokens"] else "",
            f"{run['median_s']:.1f}",
            f"{run['tokens_per_s']:,.0f}" if run["num_tokens"] else "",
            f"{run['ms_per_fragment']:.1f}",
            f"{run['spread']:.0%}",
        )
        for run in found
    ]
