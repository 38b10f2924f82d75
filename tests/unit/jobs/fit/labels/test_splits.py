"""Parts of rows."""

import numpy as np
import pytest

from jobs.fit.labels.splits import PARTS, check_parts, split_rows
from jobs.fit.labels.targets import RowFacts, Targets
from pipeline.errors import ConfigError

NAMES = ("common", "rare")


def rows(num_groups: int = 400) -> tuple[Targets, RowFacts]:
    """Documents of two parallel rows each; every tenth is of the rare label."""
    labels = np.repeat((np.arange(num_groups) % 10 == 0).astype(np.int64), 2)
    groups = [f"document {n // 2}" for n in range(2 * num_groups)]
    return Targets("single", NAMES, labels), RowFacts(groups, ["de", "en"] * num_groups)


def test_shares_hold_in_each_stratum_and_groups_stay_together() -> None:
    targets, facts = rows()
    parts = split_rows(targets, facts, seed=1)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(800))
    for part, share in zip(PARTS, (0.7, 0.1, 0.1, 0.1), strict=True):
        for label, total in ((0, 720), (1, 80)):
            count = int((targets.values[parts[part]] == label).sum())
            assert abs(count - share * total) <= 2, "to within a group of two rows"
    places = {row: part for part, numbers in parts.items() for row in numbers}
    assert all(places[2 * n] == places[2 * n + 1] for n in range(400))


def test_the_order_of_rows_changes_nothing_and_the_seed_does() -> None:
    targets, facts = rows()
    order = np.random.default_rng(0).permutation(800)
    assert facts.languages is not None
    shuffled = RowFacts([facts.groups[n] for n in order], [facts.languages[n] for n in order])

    def names(t: Targets, f: RowFacts, seed: int) -> set[object]:
        return {f.groups[row] for row in split_rows(t, f, seed)["test"]}

    assert names(targets, facts, 1) == names(targets.of(order), shuffled, 1)
    assert names(targets, facts, 1) != names(targets, facts, 2)


def test_unknown_labels_are_in_no_part_and_given_parts_are_kept() -> None:
    targets, facts = rows(4)
    values = targets.values.copy()
    values[3] = -1
    given = ["fit", "fit", "test", "test", "", "choose", "calibrate", "test"]
    parts = split_rows(Targets("single", NAMES, values), RowFacts(facts.groups, parts=given), 0)
    assert {part: list(numbers) for part, numbers in parts.items()} == {
        "fit": [0, 1],
        "choose": [5],
        "calibrate": [6],
        "test": [2, 7],
    }


@pytest.mark.parametrize("problem", ["multi_label", "regression"])
def test_other_problems_are_stratified_too(problem: str) -> None:
    generator = np.random.default_rng(2)
    if problem == "regression":
        targets = Targets("regression", ("score",), generator.normal(size=1000))
        is_special = targets.values > np.quantile(targets.values, 0.8)
    else:
        values = (generator.random((1000, 3)) < [0.5, 0.1, 0.9]).astype(np.int8)
        targets, is_special = Targets("multi_label", ("a", "b", "c"), values), values[:, 1] == 1
    parts = split_rows(targets, RowFacts(range(1000)), 0)
    for part, share in zip(PARTS, (0.7, 0.1, 0.1, 0.1), strict=True):
        assert abs(is_special[parts[part]].sum() - share * is_special.sum()) <= 1


def test_small_labels_are_refused_unless_told() -> None:
    targets, facts = rows(100)
    parts = split_rows(targets, facts, 0)
    with pytest.raises(ConfigError, match=r"label 'rare' has \d rows in the part '\w+', expected 5 at least"):
        check_parts(targets, parts, 5)
    check_parts(targets, parts, 1)
    with pytest.raises(ConfigError, match="'test' has 0 rows"):
        check_parts(targets, {**parts, "test": np.array([], dtype=np.int64)}, 0)
