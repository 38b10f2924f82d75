"""One corpus, one cluster, and each run of the job once: several tests look at the same run.

Fixtures of the whole session are made once in each worker of `pytest -n`, so one worker runs this folder: see
`tests/conftest.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integration.cluster import Cluster, running_cluster
from tests.integration.corpus import Corpus, job_of, write_job
from tests.integration.runs import ANNOTATE, Finished, annotate
from tests.integration.shared_cluster.oracle_rows import Oracle, Values

TWO_RANKS: dict[str, dict[str, Any]] = {
    "model": {"tensor_parallel_size": 2},
    "input": {"route": "heads", "columns": ["lang", "id"]},
}
"""What `two_ranks` is asked for: other runs that write the same bytes are asked for it too."""
SMALL_DATASETS = ("-m", "tests.integration.shared_cluster.small_datasets")


@dataclass(frozen=True)
class Annotated:
    """A run that has ended: what it said, where its parts are, and what it was asked to do."""

    finished: Finished
    output: Path
    job_file: Path
    overrides: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """Of the command that asks for the same again."""
        return [str(self.job_file), *(f"--set={override}" for override in self.overrides)]


class Workbench:
    """Runs jobs over the corpus, each with files of its own."""

    def __init__(self, corpus: Corpus, cluster: Cluster, root: Path) -> None:
        self.corpus = corpus
        self.cluster = cluster
        self.root = root

    def job(self, name: str, **changes: dict[str, Any]) -> Path:
        """The job file of a run called `name`; `changes` are keys of its tables, None takes a key away."""
        job = job_of(self.corpus)
        job["output"]["path"] = str(self.output(name))
        for table, values in changes.items():
            merged = {**job[table], **values}
            job[table] = {key: value for key, value in merged.items() if value is not None}
        return write_job(self.root / f"{name}.toml", job)

    def output(self, name: str) -> Path:
        """Where that run writes."""
        return self.root / f"{name}-out"

    def run(
        self,
        name: str,
        *,
        overrides: tuple[str, ...] = (),
        is_local: bool = False,
        options: tuple[str, ...] = (),
        program: Sequence[str] = ANNOTATE,
        **changes: dict[str, Any],
    ) -> Annotated:
        """Run it to its end, on the cluster or on one that it starts for itself."""
        job_file = self.job(name, **changes)
        arguments = [*options, *(f"--set={override}" for override in overrides)]
        if not is_local:
            arguments += ["--address", self.cluster.address]
        finished = annotate(job_file, *arguments, logs=self.root / f"{name}-logs", program=program)
        return Annotated(finished, self.output(name), job_file, overrides)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def workbench(corpus: Corpus, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(corpus, cluster, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def one_rank(workbench: Workbench) -> Annotated:
    """On a cluster that the run starts for itself, with the output named on the command line."""
    overrides = (f"output.path={workbench.output('one-rank')}",)
    return workbench.run("one-rank", is_local=True, overrides=overrides, output={"path": "/nowhere"})


@pytest.fixture(scope="session")
def two_ranks(workbench: Workbench) -> Annotated:
    """Several datasets; a route column that is not carried, and two other columns that are."""
    return workbench.run("two-ranks", program=SMALL_DATASETS, **TWO_RANKS)


@pytest.fixture(scope="session")
def four_ranks(workbench: Workbench) -> Annotated:
    """More ranks than CPUs for them: each has a part of one."""
    return workbench.run("four-ranks", model={"tensor_parallel_size": 4, "cpus_per_rank": None})


@pytest.fixture(scope="session")
def expected(corpus: Corpus) -> dict[str, list[Values]]:
    """By file, what the oracle makes of each of its rows."""
    num_threads = torch.get_num_threads()
    # On so small a model a second thread costs more than it gives.
    torch.set_num_threads(1)
    oracle = Oracle(corpus)
    values = {
        file: [oracle.values(row, file, i) for i, row in enumerate(table.to_pylist())]
        for file, table in corpus.files.items()
    }
    torch.set_num_threads(num_threads)
    return values
