"""Rounds, medians and ratios, by a clock that the test turns."""

from collections.abc import Callable

import pytest

from jobs.benchmark.report import COLUMNS, at_depth, figures, mix_at_depth, print_table, rows
from jobs.benchmark.timing import PRODUCTS, Case, limit_of, measure, ratio_to_baseline, utilisation
from jobs.benchmark.trunks import HEADS


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def case(self, name: str, seconds: list[float], **options: object) -> Case:
        """Takes these seconds in the rounds, the first of them in the warm-up."""
        left = iter(seconds)

        def run() -> None:
            self.log.append(name)
            self.now += next(left)

        values: dict[str, object] = {"num_tokens": 100, "flops": 600, "group": "trunk", "baseline": None} | options
        return Case(name, run, **values)  # type: ignore[arg-type]


@pytest.fixture
def measured() -> tuple[Clock, list[Case], list[str]]:
    """The machine is twice as slow in the second round, for every case."""
    clock = Clock()
    cases = [
        clock.case("slow product", [9, 4, 8, 4], flops=1000, num_tokens=0, group=PRODUCTS),
        clock.case("product", [9, 2, 4, 2], flops=1000, num_tokens=0, group=PRODUCTS),
        clock.case("trunk", [9, 2, 4, 2]),
        clock.case("head", [9, 3, 6, 3], group=HEADS, baseline="trunk", flops=700),
    ]
    said: list[str] = []
    measure(cases, 3, device="cpu", tell=said.append, clock=lambda: clock.now)
    return clock, cases, said


def test_cases_take_turns_and_the_warm_up_does_not_count(measured: tuple[Clock, list[Case], list[str]]) -> None:
    clock, cases, said = measured
    assert clock.log == [case.name for case in cases] * 4
    assert [case.seconds for case in cases] == [[4, 8, 4], [2, 4, 2], [2, 4, 2], [3, 6, 3]]
    assert said == ["warming up", "round 1 of 3", "round 2 of 3", "round 3 of 3"]
    assert (cases[0].median, cases[0].spread, cases[0].flops_per_s) == (4, 1, 250)


def test_processes_of_their_own_are_not_warmed_up() -> None:
    clock = Clock()
    case = clock.case("job", [5, 7], warms_up=False)
    measure([case], 2, device="cpu", tell=lambda line: None, clock=lambda: clock.now)
    assert case.seconds == [5, 7]


def test_ratios_are_those_within_a_round(measured: tuple[Clock, list[Case], list[str]]) -> None:
    _, cases, _ = measured
    by_name = {case.name: case for case in cases}
    limit = limit_of(cases)
    assert limit.name == "product"
    assert utilisation(by_name["trunk"], limit) == pytest.approx(0.6)
    assert utilisation(limit, limit) == 1
    assert ratio_to_baseline(by_name["head"], by_name) == 1.5
    assert ratio_to_baseline(by_name["trunk"], by_name) is None


def test_a_head_costs_less_beside_more_layers() -> None:
    assert at_depth(1.45, 4, 36) == pytest.approx(1.05)
    assert at_depth(1.45, 4, 4) == pytest.approx(1.45)


def test_a_mix_costs_its_share_in_each_layer() -> None:
    """5 layers are read beside 4, and 37 beside 36."""
    assert mix_at_depth(1 + 5 * 0.01 / 4, 4, 36) == pytest.approx(1 + 37 * 0.01 / 36)
    assert mix_at_depth(1.2, 4, 4) == pytest.approx(1.2)


@pytest.mark.parametrize("has_rich", [True, False])
def test_the_figures(
    measured: tuple[Clock, list[Case], list[str]],
    has_rich: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = figures(measured[1], 4, {"rounds": 3}, {"attention": "sdpa"})
    assert result["limit"] == {"name": "product", "gflops_per_s": 500 / 1e9}
    assert result["settings"] == {"rounds": 3}
    head = result["cases"][3]
    assert head["tokens_per_s"] == pytest.approx(100 / 3)
    assert head["time_to_baseline"] == 1.5
    assert head["time_to_baseline_at_36_layers"] == pytest.approx(1 + 0.5 / 9)
    assert rows(result)[3] == ("head", "100", "33", "0", "0.47", "1.50", "1.06", "100%")
    if not has_rich:
        found: Callable[[str], None] = lambda name: None  # noqa: E731
        monkeypatch.setattr("importlib.util.find_spec", found)
    print_table(result)
    lines = capsys.readouterr().out.splitlines()
    assert "limit: product" in lines[0]
    assert all(column in lines[1] for column in COLUMNS)
    assert [line.split()[-1] for line in lines[2:] if line.strip()] == ["100%"] * 4
