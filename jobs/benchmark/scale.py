"""Measure how well one driver feeds many replicas, with ranks that sleep as long as a GPU would compute.

What counts is the time from when the last rank has begun its first batch to when the first one has ended its last:
neither the start nor the end.
"""

import json
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from jobs.benchmark.plumbing import null_config
from jobs.benchmark.sleeping_ranks import CPU_FILE
from jobs.benchmark.whole_job import Job, run_program, write_job, write_random_model
from model import XLMRobertaXLTokenizer

FRAGMENT_S = 4.0
RUN_S = 60.0
BATCHES_A_FRAGMENT = 8
COLUMNS = ("replicas", "fragments", "fragments/s", "tokens/s", "ranks wait", "ms of CPU a fragment")


@dataclass(frozen=True)
class Traces:
    """What a run has left.

    Attributes:
        ranks: by rank the batches that it was given, float64 `[n, 2]`, begin and end in seconds.
        parts: when each part was done, float64 `[n]`.
        cpu: samples of the processor time by kind of process, with their times.
    """

    ranks: Sequence[NDArray[np.float64]]
    parts: NDArray[np.float64]
    cpu: Sequence[tuple[float, dict[str, float]]]

    @classmethod
    def read(cls, folder: Path, output: Path) -> "Traces":
        """Of the folder that `sleeping_ranks` has written to, and the output."""
        ranks = [np.loadtxt(file, ndmin=2) for file in sorted(folder.glob("*.rank")) if file.stat().st_size]
        parts = [file.stat().st_mtime for file in output.glob("_manifest/parts/**/*.json")]
        samples = json.loads((folder / CPU_FILE).read_text(encoding="utf-8"))
        return cls(ranks, np.array(parts), [(at, seconds) for at, seconds in samples])

    @property
    def window(self) -> tuple[float, float]:
        """From the last of the first batches to the first of the last ones."""
        return max(rank[0, 0] for rank in self.ranks), min(rank[-1, 1] for rank in self.ranks)


def measure_scale(options: Namespace) -> list[dict[str, Any]]:
    """For each of `options.replicas`: a job of about `RUN_S` seconds with fragments of `FRAGMENT_S` seconds."""
    rate = options.tokens_per_second
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = write_random_model(
            folder / "model", null_config(options.vocab_size), options.tokenizer, torch.float32
        )
        tokenizer = XLMRobertaXLTokenizer.from_pretrained(options.tokenizer)
        texts = ds.dataset(options.corpus).to_table(columns=["text"])["text"]
        texts = pa.chunked_array([texts.take(np.random.default_rng(0).permutation(len(texts)))])
        lengths = tokenizer.encode_batch(texts[:10_000].to_pylist(), max_length=None).row_offsets
        tokens_a_row = float(lengths[-1]) / (len(lengths) - 1)
        rows_a_fragment = max(1, round(FRAGMENT_S * rate / tokens_a_row))
        found = []
        for replicas in options.replicas:
            num_fragments = round(replicas * RUN_S / FRAGMENT_S)
            run = folder / str(replicas)
            run.mkdir()
            _write_rows(run / "rows.parquet", texts, num_fragments * rows_a_fragment, rows_a_fragment)
            job = Job(
                model,
                run / "rows.parquet",
                run / "out",
                token_budget=max(512, int(FRAGMENT_S * rate / BATCHES_A_FRAGMENT)),
                max_fragment_rows=rows_a_fragment,
                replicas=replicas,
            )
            command = [sys.executable, "-m", "jobs.benchmark.sleeping_ranks", str(write_job(job)), str(run)]
            print(f"{replicas} replicas, {num_fragments} fragments", file=sys.stderr, flush=True)
            run_program([*command, f"--tokens-per-second={rate}"])
            found.append(figures(Traces.read(run, job.output), rate))
            print(*zip(COLUMNS, rows(found)[-1], strict=True), sep="\n", file=sys.stderr, flush=True)
            shutil.rmtree(run)
        return found


def _write_rows(file: Path, texts: pa.ChunkedArray, num_rows: int, size: int) -> None:
    """Texts in row groups of `size` rows, begun again as often as needed."""
    repeated = np.arange(num_rows) % len(texts)
    pq.write_table(pa.table({"text": texts.take(repeated)}), file, row_group_size=size)


def figures(traces: Traces, tokens_per_s: float) -> dict[str, Any]:
    """The figures of a run; processor time in milliseconds a fragment, by kind of process."""
    begin, end = traces.window
    busy_s = sum(float(np.diff(rank.clip(begin, end)).sum()) for rank in traces.ranks)
    num_fragments = int(((begin <= traces.parts) & (traces.parts < end)).sum())
    cpu = {kind: _between(traces.cpu, kind, begin, end) for kind in traces.cpu[0][1]}
    seconds = end - begin
    return {
        "num_replicas": len(traces.ranks),
        "num_fragments": num_fragments,
        "seconds": seconds,
        "fragments_per_s": num_fragments / seconds,
        "tokens_per_s": busy_s * tokens_per_s / seconds,
        "waiting_share": 1 - busy_s / (seconds * len(traces.ranks)),
        "cpu_ms_per_fragment": {kind: 1000 * each / num_fragments for kind, each in cpu.items()},
    }


def _between(samples: Sequence[tuple[float, dict[str, float]]], kind: str, begin: float, end: float) -> float:
    """The processor time between two times, by the samples around them."""
    times, seconds = [at for at, _ in samples], [each[kind] for _, each in samples]
    first, last = np.interp([begin, end], times, seconds)
    return float(last - first)


def rows(found: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The figures as cells of `COLUMNS`."""
    return [
        (
            str(run["num_replicas"]),
            f"{run['num_fragments']:,}",
            f"{run['fragments_per_s']:.1f}",
            f"{run['tokens_per_s']:,.0f}",
            f"{run['waiting_share']:.1%}",
            ", ".join(f"{kind} {each:.0f}" for kind, each in run["cpu_ms_per_fragment"].items()),
        )
        for run in found
    ]
