"""A job whose ranks sleep as long as a GPU would compute: `python -m jobs.benchmark.sleeping_ranks JOB FOLDER`.

Everything else is as in `jobs.annotate`: planning, reading, tokenizing, batching, leaders, writing, recovery. The
heads must be embeddings of texts. FOLDER gets a file of each rank, with a line `BEGIN END` for each batch, and
`cpu.json`; all times are of `time.time`.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.batching.rank_batch import BatchOutput, RankBatch
from pipeline.config.job import load_job_config
from pipeline.driver import dataset, ray_connection
from pipeline.driver.cluster_address import LOCAL
from pipeline.driver.prepared_run import RunOptions, prepare_run
from pipeline.driver.run import execute_run
from pipeline.heads.resolve import Head
from pipeline.monitoring.messages import Messages
from pipeline.monitoring.phases import Phases
from pipeline.replica.rank import OutOfMemory, Rank
from pipeline.replica.rank_settings import RankSettings
from pipeline.replica.shard_group import Replica
from pipeline.stages import annotate

CPU_FILE = "cpu.json"
SAMPLE_INTERVAL_S = 1.0
# By the beginnings of their titles; the driver is this process.
_KINDS = {
    "run's actor": "ray::RunActor",
    "leaders": "ray::MapWorker",
    "ranks": "ray::SleepingRank",
    "tasks": "ray::",
    "Ray": "",
}


def sleeping_rank(folder: str, tokens_per_s: float, num_ranks: int) -> type[Rank]:
    """A class of ranks that take so long for a batch, and note in a folder when they did; all begin together."""

    class SleepingRank(Rank):
        def __init__(self, rank: int, size: int, settings: RankSettings) -> None:
            # Without torch, which a rank that computes nothing does not need.
            self._times = (Path(folder) / f"{os.getpid()}.rank").open("w", buffering=1, encoding="ascii")

        def load(self, heads: Sequence[Head], address: tuple[str, int] | None) -> None:
            self._sizes = {head.name: head.config.hidden_size for head in heads}
            # Starting many processes takes so long that the first ranks would have done all work.
            while len(list(Path(folder).glob("*.rank"))) < num_ranks:
                time.sleep(0.1)

        def run(self, batch: RankBatch) -> BatchOutput | OutOfMemory | None:
            began = time.time()
            time.sleep(len(batch.input_ids) / tokens_per_s)
            self._times.write(f"{began:.6f} {time.time():.6f}\n")
            return {
                name: (np.ones((len(request.index), self._sizes[name]), dtype=np.float32),)
                for name, request in batch.requests.items()
            }

        def peak_memory(self) -> int:
            return 0

    return SleepingRank


def sleeping_leader(rank_class: type[Rank]) -> type[annotate.Annotator]:
    """A class of leaders with such ranks."""

    class SleepingReplica(Replica):
        rank_class: ClassVar[type[Rank]]

    SleepingReplica.rank_class = rank_class

    class SleepingAnnotator(annotate.Annotator):
        def __init__(self, *arguments: Any) -> None:
            annotate.Replica = SleepingReplica  # type: ignore[attr-defined]
            super().__init__(*arguments)

    return SleepingAnnotator


def cpu_seconds() -> dict[str, float]:
    """The processor time so far of this process ("driver"), and of those below it that live, by kind."""
    seconds = dict.fromkeys(["driver", *_KINDS], 0.0)
    seconds["driver"] = time.process_time()
    stats = {int(entry.name): _stat(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    below = found = {os.getpid()}
    while found:
        found = {pid for pid, stat in stats.items() if stat and stat[0] in below} - below
        below = below | found
    for pid in below - {os.getpid()}:
        title = _title(pid)
        kind = next(kind for kind, beginning in _KINDS.items() if title.startswith(beginning))
        stat = stats[pid]
        seconds[kind] += stat[1] if stat else 0.0
    return seconds


def _stat(entry: Path) -> tuple[int, float] | None:
    """The parent of a process, and its processor time in seconds; None if it has gone."""
    try:
        # The process name, in parentheses, may contain anything.
        fields = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job on a cluster of this machine that has a CPU more for each rank; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.benchmark.sleeping_ranks", description=__doc__)
    parser.add_argument("job", type=Path, metavar="JOB.toml")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--tokens-per-second", type=float, required=True, metavar="RATE", help="of each rank")
    parser.add_argument("--fragments-a-dataset", type=int, default=dataset.MAX_FRAGMENTS_AT_ONCE, metavar="N")
    options = parser.parse_args(arguments)
    job = load_job_config(options.job, ["model.cpus_per_rank=1"])
    assert isinstance(job.model.replicas, int), "the benchmark says how many"
    dataset.MAX_FRAGMENTS_AT_ONCE = options.fragments_a_dataset
    rank_class = sleeping_rank(str(options.folder), options.tokens_per_second, job.model.replicas)
    dataset.Annotator = sleeping_leader(rank_class)  # type: ignore[attr-defined]
    ray_connection._NUM_TASK_CPUS = job.model.replicas
    messages = Messages()
    phases = Phases(messages)
    prepared = prepare_run(job, RunOptions(), messages)
    samples: list[tuple[float, dict[str, float]]] = []

    def sample() -> None:
        while not ended.wait(SAMPLE_INTERVAL_S):
            samples.append((time.time(), cpu_seconds()))

    ended = threading.Event()
    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    result = execute_run(prepared, LOCAL, messages, phases)
    ended.set()
    thread.join()
    (options.folder / CPU_FILE).write_text(json.dumps(samples), encoding="utf-8")
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
