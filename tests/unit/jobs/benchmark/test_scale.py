import json
from pathlib import Path

import numpy as np
import pytest

from jobs.benchmark.scale import COLUMNS, Traces, figures, rows

# Two ranks; the second one begins later, and ends first.
RANKS = [[(0.0, 10.0), (10.0, 11.0), (12.0, 19.0), (19.0, 30.0)], [(10.0, 14.0), (16.0, 20.0)]]


@pytest.fixture
def traces() -> Traces:
    cpu = [(at, {"driver": at / 10, "ranks": 0.0}) for at in (5.0, 15.0, 25.0)]
    return Traces([np.array(rank) for rank in RANKS], np.array([9.0, 10.5, 12.0, 19.5, 21.0]), cpu)


def test_only_what_lies_between_the_start_and_the_end_counts(traces: Traces) -> None:
    assert traces.window == (10.0, 20.0)
    found = figures(traces, 100.0)
    # Of twice ten seconds the first rank was busy for nine, the second for eight.
    assert found["waiting_share"] == pytest.approx(3 / 20)
    assert found["tokens_per_s"] == pytest.approx(170)
    assert (found["num_replicas"], found["num_fragments"], found["fragments_per_s"]) == (2, 3, 0.3)
    assert found["cpu_ms_per_fragment"] == {"driver": pytest.approx(1000 / 3), "ranks": 0}
    [cells] = rows([found])
    assert cells == ("2", "3", "0.3", "170", "15.0%", "driver 333, ranks 0")
    assert len(cells) == len(COLUMNS)


def test_traces_are_read_from_what_a_run_leaves(tmp_path: Path) -> None:
    (tmp_path / "17.rank").write_text("1.5 2.5\n2.5 3.0\n", encoding="ascii")
    (tmp_path / "18.rank").write_text("", encoding="ascii")
    (tmp_path / "cpu.json").write_text(json.dumps([[1.0, {"driver": 0.5}]]), encoding="utf-8")
    record = tmp_path / "out/_manifest/parts/a/b.json"
    record.parent.mkdir(parents=True)
    record.touch()
    traces = Traces.read(tmp_path, tmp_path / "out")
    assert [rank.tolist() for rank in traces.ranks] == [[[1.5, 2.5], [2.5, 3.0]]]
    assert traces.parts.tolist() == [record.stat().st_mtime]
    assert traces.cpu == [(1.0, {"driver": 0.5})]
