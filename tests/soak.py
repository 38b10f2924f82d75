"""One long job and at least `NUM_KILLS` kills of random processes of it: `make soak`. The result is as if none.

Whatever is killed, the driver and Ray's own actors too, the same command is then run again if the run has ended,
as a user would. `SOAK_SEED` chooses who is killed and when.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.integration.cluster import OF_RUNS, Cluster, running_cluster
from tests.integration.corpus import Corpus, job_of, write_corpus, write_job
from tests.integration.processes import Process, descendants
from tests.integration.runs import Run, annotate, parts, started

NUM_KILLS = 50
NUM_FILES, NUM_COPIES = 12, 8
TITLES = (*OF_RUNS, "ray::ReadFragmentSource", "ray::Write")
MAX_PAUSE_S = 6.0
# The other kills may hit a run that starts, or one that recovers from the last.
SHARE_UNDER_WAY = 0.8
TIMEOUT_S = 3 * 3600


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


def write_large_corpus(root: Path) -> tuple[Corpus, Path]:
    """Files of the small corpus, each several times over, in a folder of their own."""
    corpus = write_corpus(root)
    table = pa.concat_tables(corpus.files.values())
    inputs = root / "large"
    inputs.mkdir()
    for i in range(NUM_FILES):
        pq.write_table(pa.concat_tables([table] * NUM_COPIES), inputs / f"{i}.parquet", row_group_size=50)
    return corpus, inputs


def job_file(corpus: Corpus, inputs: Path, output: Path) -> Path:
    job = job_of(corpus)
    job["input"] |= {"path": str(inputs), "max_fragment_rows": 24}
    job["output"]["path"] = str(output)
    job["model"] |= {"tensor_parallel_size": 2, "stall_timeout_s": 300}
    return write_job(output.with_suffix(".toml"), job)


def victims(run: Run, cluster: Cluster) -> dict[str, Process]:
    """Who can be killed: the driver, and a process of each kind."""
    found = {process.title.split("(")[0]: process for process in cluster.actors(*TITLES)}
    driver = next((p for p in descendants(os.getpid()) if p.pid == run.process.pid), None)
    return found | ({"driver": driver} if driver is not None else {})


def wait_for_parts(run: Run, output: Path) -> None:
    """Until the run has written something, or has ended."""
    before = len(parts_in(output))
    while run.process.poll() is None and len(parts_in(output)) == before:
        time.sleep(0.1)


def parts_in(output: Path) -> list[Path]:
    # Not by `rglob`, which fails where a folder of a driver that died is taken away meanwhile.
    return [
        Path(folder, name) for folder, _, names in os.walk(output) for name in names if name.endswith(".parquet")
    ]


@pytest.mark.timeout(TIMEOUT_S)
def test_any_number_of_deaths_changes_nothing(tmp_path: Path, cluster: Cluster) -> None:
    seed = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))
    print(f"SOAK_SEED={seed}")
    chance = random.Random(seed)
    corpus, inputs = write_large_corpus(tmp_path / "corpus")
    address = ["--address", cluster.address]
    undisturbed = annotate(
        job_file(corpus, inputs, tmp_path / "expected"), *address, logs=tmp_path / "undisturbed"
    )
    assert undisturbed.code == 0, undisturbed
    expected = parts(tmp_path / "expected")

    kills: Counter[str] = Counter()
    codes: list[int] = []
    while not codes or codes[-1] != 0:
        logs = tmp_path / f"run-{len(codes)}"
        with started(job_file(corpus, inputs, tmp_path / "out"), *address, logs=logs) as run:
            while run.process.poll() is None:
                if chance.random() < SHARE_UNDER_WAY:
                    wait_for_parts(run, tmp_path / "out")
                time.sleep(chance.uniform(0, MAX_PAUSE_S))
                found = victims(run, cluster)
                if kills.total() < NUM_KILLS and found:
                    kind = chance.choice(sorted(found))
                    found[kind].kill()
                    kills[kind] += 1
            codes.append(run.finish().code)
        # No code but these: nothing is quarantined, refused or stalled without a cause.
        assert codes[-1] in (0, 1, -9), run.finish()
        cluster.wait_until_free()
    print(f"{kills.total()} kills in {len(codes)} runs: {dict(kills)}; exit codes {codes}")
    assert kills.total() >= NUM_KILLS, "the job is too short"
    assert parts(tmp_path / "out") == expected
    assert not list((tmp_path / "out").glob("_manifest/failed/**/*.json"))
