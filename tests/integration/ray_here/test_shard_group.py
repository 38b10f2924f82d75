"""Ranks as real processes that really die, stop or run out of memory, below what a leader does about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
import ray
import torch
from ray.util.placement_group import placement_group, remove_placement_group

from pipeline.batching.fragment_columns import FragmentColumns
from pipeline.ray_actors import get_result
from pipeline.replica import shard_group
from pipeline.replica.layout import RankResources
from pipeline.replica.placement import Place
from pipeline.replica.rank import Rank
from pipeline.replica.recovery import Recovery
from pipeline.replica.shard_group import Replica
from tests.integration.ray_here.faulty_ranks import Faults, faulty_replica
from tests.pipeline_in_process import Encoded, annotate_in_process, compute_head_columns, encode_in_process
from tests.tiny_tokenizer import SENTENCES
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint

HEADS: dict[str, Any] = {
    "topic": {"task": "text-classification", "window": 24},
    "tokens": {"task": "embedding", "window": 24, "level": "token"},
    # On sequences of its own, where the rare token is masked.
    "loss": {"task": "masked-lm-loss", "window": 24, "mask_probability": 0.3},
}
# Row 3 alone has it, in its second window.
RARE = "Ελληνικά"
TEXTS = [
    *SENTENCES[:3],
    f"{SENTENCES[0]} {SENTENCES[1]} {SENTENCES[2]} 𐎠 {RARE}",
    *SENTENCES[3:12],
    "Good.",
    "Yes.",
]
POISON_ROW = 3
TOKEN_BUDGET = 96
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@dataclass
class Bench:
    """A fragment, what an undisturbed shard makes of it, and where ranks run."""

    encoded: Encoded
    expected: pa.Table
    place: Place
    rare_id: int
    notes: list[str] = field(default_factory=list)

    def annotate(self, faults: Faults, size: int = 2) -> FragmentColumns:
        replica = faulty_replica(faults)(
            self.encoded.heads,
            self.encoded.settings,
            RankResources(1, 0),
            size,
            self.place,
            batch_timeout_s=15.0,
        )
        self.notes.clear()
        recovery = Recovery(replica, TOKEN_BUDGET, self.notes.append)
        try:
            return compute_head_columns(
                self.encoded.rows,
                self.encoded.fragment,
                self.encoded.heads,
                self.encoded.tokenizer,
                recovery.run,
                token_budget=TOKEN_BUDGET,
            )
        finally:
            for rank in replica._ranks:
                ray.kill(rank)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("shard-group")
    model = tiny_checkpoint(directory / "model")
    table = pa.table({"text": TEXTS})
    encoded = encode_in_process(directory, table, HEADS, model)
    expected, _ = annotate_in_process(directory, table, HEADS, model, token_budget=TOKEN_BUDGET)
    place = Place(placement_group([{"CPU": 1}] * 2, strategy="STRICT_PACK"), node_id="")
    assert place.group.wait(60)
    assert place.has_room
    yield Bench(encoded, expected, place, rare_token(encoded))
    remove_placement_group(place.group)
    assert not place.has_room


RUN, LAUNCHED = "batches run", "batches are launched"


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How ranks are given batches: as on a CPU, or as on a GPU."""
    monkeypatch.setattr(shard_group, "ASYNCHRONOUS_DEVICES", () if request.param == RUN else ("cpu",))


def slow(*values: Any) -> Any:
    """Values of parameters that `make test-slow` alone tries."""
    return pytest.param(*values, marks=pytest.mark.slow)


def rare_token(encoded: Encoded) -> int:
    """A token of one window of one row, and of no other."""
    windows = encoded.rows["__sequences_0"].combine_chunks()
    ids = [[set(window["input_ids"].as_py()) for window in row] for row in windows]
    others = set().union(*(window for i, row in enumerate(ids) for window in row if i != POISON_ROW))
    assert len(ids[POISON_ROW]) > 1
    return min(ids[POISON_ROW][-1] - others - set().union(*ids[POISON_ROW][:-1]))


def assert_equal(found: FragmentColumns, bench: Bench, *, without: int | None = None) -> None:
    """The values of a shard that nothing disturbs; rounding may differ where batches are cut otherwise."""
    for name, column in found.columns.items():
        for row, (value, expected) in enumerate(zip(column, bench.expected[name], strict=True)):
            if row == without and name != "loss":
                assert value.as_py() is None, name
            else:
                np.testing.assert_allclose(numbers(value.as_py()), numbers(expected.as_py()), rtol=1e-4, atol=1e-5)


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(value)] if isinstance(value, int | float) else []


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("way", "size"), [(RUN, 2), slow(RUN, 1), slow(LAUNCHED, 1), slow(LAUNCHED, 2)], indirect=["way"]
)
def test_a_row_that_kills_its_ranks_is_found_and_the_others_are_done(size: int, bench: Bench) -> None:
    found = bench.annotate(Faults(deadly=bench.rare_id), size)
    assert_equal(found, bench, without=POISON_ROW)
    assert list(found.problems) == [POISON_ROW]
    assert found.problems[POISON_ROW].startswith("topic, tokens: the model process died on this row three times")
    assert "loss" not in found.problems[POISON_ROW]
    assert "bisected" in " ".join(bench.notes)


@pytest.mark.slow
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("way", [RUN, LAUNCHED], indirect=True)
def test_a_row_that_raises_an_error_each_time_is_found_and_its_text_is_not_told(bench: Bench) -> None:
    found = bench.annotate(Faults(failing=bench.rare_id))
    assert_equal(found, bench, without=POISON_ROW)
    assert "(ValueError)" in found.problems[POISON_ROW]
    assert "the text of a row" not in " ".join([*found.problems.values(), *bench.notes])


# The rank whose memory is too small, and which the other one waits for.
BOTH, ONE = None, 1


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("way", "only_rank"),
    [(RUN, BOTH), (LAUNCHED, ONE), slow(RUN, ONE), slow(LAUNCHED, BOTH)],
    ids=[
        "run-both",
        "launched-one, which the other waits for",
        "run-one, which the other waits for",
        "launched-both",
    ],
    indirect=["way"],
)
def test_batches_that_do_not_fit_are_halved(only_rank: int | None, bench: Bench) -> None:
    found = bench.annotate(Faults(memory=100, only_rank=only_rank))
    assert_equal(found, bench)
    assert found.problems == {}


def test_a_sequence_that_does_not_fit_alone_is_an_error_of_its_row(bench: Bench) -> None:
    found = bench.annotate(Faults(memory=23), size=1)
    assert "does not fit in the memory of a rank" in found.problems[POISON_ROW]
    lost = list(found.problems)
    assert 0 < len(lost) < len(TEXTS)
    for row in set(range(len(TEXTS))) - set(lost):
        assert all(column[row].is_valid for column in found.columns.values())
    for row in lost:
        assert all(column[row].as_py() is None for column in found.columns.values())


@pytest.mark.slow
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("way", [RUN, LAUNCHED], indirect=True)
def test_a_rank_that_is_stopped_is_found_by_the_others(bench: Bench, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    stopped.touch()
    found = bench.annotate(Faults(stopped=str(stopped)))
    assert not stopped.exists()
    assert_equal(found, bench)
    assert found.problems == {}
    assert any("was rebuilt" in note for note in bench.notes)


class RankThatTells(Rank):
    """A rank that can be asked about its process."""

    def huge_bytes(self, num_bytes: int) -> int:
        """Of a tensor of this size and everything else in the process, what lies in huge pages."""
        held = torch.ones(num_bytes, dtype=torch.uint8)
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
        found = next(line.split()[1] for line in lines if line.startswith("AnonHugePages"))
        assert held[-1] == 1
        return 1024 * int(found)


class ReplicaThatTells(Replica):
    rank_class: ClassVar[type[Rank]] = RankThatTells


@pytest.fixture
def telling(bench: Bench) -> Iterator[ReplicaThatTells]:
    encoded = bench.encoded
    resources = RankResources(1, 0)
    replica = ReplicaThatTells(encoded.heads, encoded.settings, resources, 1, bench.place, batch_timeout_s=15.0)
    yield replica
    ray.kill(replica._ranks[0])


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(encoding="ascii"),
    reason="this kernel gives no huge pages",
)
def test_a_rank_on_a_cpu_has_its_memory_in_huge_pages(telling: ReplicaThatTells) -> None:
    # How many the kernel has to give is not ours to say; where it has to be asked, it gives none otherwise.
    assert get_result(telling._ranks[0].huge_bytes.remote(64 * 2**20)) > 0
