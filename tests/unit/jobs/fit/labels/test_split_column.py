"""Splits that a column gives."""

import pytest

from jobs.fit.labels.split_column import given_parts
from pipeline.errors import InputError


def test_all_parts_are_as_they_are() -> None:
    values = ["fit", "choose", "calibrate", "test", None, "train", "validation"]
    expected = ["fit", "choose", "calibrate", "test", "", "fit", "choose"]
    assert given_parts(values, range(7), seed=0) == expected


def test_half_of_choose_calibrates() -> None:
    found = given_parts(["fit", "test"] + ["dev"] * 400, range(402), seed=0)
    assert found[:2] == ["fit", "test"]
    assert 150 < found.count("calibrate") < 250
    assert found.count("choose") + found.count("calibrate") == 400


def test_without_choose_a_tenth_of_fit_each() -> None:
    found = given_parts(["test"] + ["train"] * 1000, range(1001), seed=0)
    assert 70 < found.count("choose") < 130
    assert 70 < found.count("calibrate") < 130
    with_calibrate = given_parts(["test", "calibrate"] + ["train"] * 1000, range(1002), seed=0)
    assert with_calibrate.count("calibrate") == 1
    assert 70 < with_calibrate.count("choose") < 130


def test_a_group_stays_together_and_draws_are_the_same_each_time() -> None:
    values, groups = ["test"] + ["train"] * 300, [0, *(row // 10 for row in range(300))]
    found = given_parts(values, groups, seed=1)
    by_group = [{part for part, other in zip(found[1:], groups[1:], strict=True) if other == g} for g in range(30)]
    assert all(len(parts) == 1 for parts in by_group)
    assert found == given_parts(values, groups, seed=1)
    assert found != given_parts(values, groups, seed=2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["fit", "tset"], "found the value 'tset', expected fit, choose"),
        (["fit", "choose"], "found no row of 'test'"),
        (["test", "dev"], "found no row of 'fit'"),
    ],
)
def test_other_values_are_refused(values: list[str], message: str) -> None:
    with pytest.raises(InputError, match=rf"^input\.split: {message}"):
        given_parts(values, range(len(values)), seed=0)
