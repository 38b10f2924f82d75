"""Runs of several datasets, one after another: the leaders and ranks of the first are there for all of them."""

import time
from collections import defaultdict

import pytest

from tests.integration.processes import wait_for
from tests.integration.runs import parts, started
from tests.integration.shared_cluster.conftest import SMALL_DATASETS, TWO_RANKS, Annotated, Workbench
from tests.integration.shared_cluster.small_datasets import NUM_FRAGMENTS
from tests.integration.shared_cluster.test_faults import LEADER, RANK, START_TIMEOUT_S, kill, num_finished


def test_the_model_is_loaded_once_for_all_datasets(two_ranks: Annotated, workbench: Workbench) -> None:
    job_file = workbench.job("datasets", **TWO_RANKS)
    seen: defaultdict[str, set[int]] = defaultdict(set)
    arguments = ["--address", workbench.cluster.address]
    with started(job_file, *arguments, logs=workbench.root / "datasets-logs", program=SMALL_DATASETS) as run:
        while run.process.poll() is None:
            for title in (LEADER, RANK):
                seen[title].update(process.pid for process in workbench.cluster.actors(title))
            time.sleep(0.05)
        finished = run.finish()
    assert finished.code == 0, finished
    assert parts(workbench.output("datasets")) == parts(two_ranks.output)
    assert num_finished(workbench.output("datasets")) > NUM_FRAGMENTS
    assert {title: len(pids) for title, pids in seen.items()} == {LEADER: 1, RANK: 2}
    workbench.cluster.wait_until_free()


@pytest.mark.slow
def test_a_leader_and_ranks_that_die_after_the_first_dataset_are_replaced(
    two_ranks: Annotated, workbench: Workbench
) -> None:
    job_file, output = workbench.job("later-deaths", **TWO_RANKS), workbench.output("later-deaths")
    arguments = ["--address", workbench.cluster.address]
    with started(job_file, *arguments, logs=workbench.root / "later-logs", program=SMALL_DATASETS) as run:
        wait_for("second dataset", lambda: num_finished(output) > NUM_FRAGMENTS, timeout_s=START_TIMEOUT_S)
        kill(workbench.cluster.actors(RANK)[0])
        wait_for("new ranks", lambda: len(workbench.cluster.actors(RANK)) == 2, timeout_s=60)
        kill(workbench.cluster.actors(LEADER)[0])
        finished = run.finish()
    assert finished.code == 0, finished
    assert parts(output) == parts(two_ranks.output)
    workbench.cluster.wait_until_free()
