import pytest

from jobs.annotate.estimates import about, describe_time, describe_tokens, in_words
from pipeline.driver.token_estimate import PassEstimate, TokenEstimate

PASSES = (PassEstimate(("topic", "vector"), 1.25, 31.0), PassEstimate(("loss",), 1.0, 12.5))


def test_tokens_are_shown_in_all_and_by_the_heads_that_share_them() -> None:
    estimate = TokenEstimate(PASSES, 1000, is_exact=False)
    assert list(describe_tokens(estimate, 2_000_003)) == [
        ("tokens", "about 87,000,000 through the trunk, estimated from 1,000 rows"),
        ("  topic, vector", "about 62,000,000 in about 2,500,000 sequences, 31.0 tokens a row"),
        ("  loss", "about 25,000,000 in about 2,000,000 sequences, 12.5 tokens a row"),
    ]


def test_tokens_of_all_rows_are_counted() -> None:
    found = dict(describe_tokens(TokenEstimate(PASSES, 8, is_exact=True), 8))
    assert found["tokens"] == "348 through the trunk, counted"
    assert found["  loss"] == "100 in 8 sequences, 12.5 tokens a row"


def test_tokens_may_not_be_known() -> None:
    [(name, value)] = describe_tokens(None, 8)
    assert (name, value) == ("tokens", "not estimated, as no row that was drawn can be read")


def test_time_and_cost() -> None:
    assert describe_time(72e6, 10_000, None) == "about 2 h 0 min at 10,000 tokens/s"
    assert describe_time(72e6, 10_000, 12.5) == (
        "about 2 h 0 min at 10,000 tokens/s, which costs about 25.00 at 12.5 per hour"
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "1 s"),
        (59.6, "60 s"),
        (89, "89 s"),
        (91, "2 min"),
        (119 * 60, "119 min"),
        (3 * 3600 + 20 * 60, "3 h 20 min"),
        (47.5 * 3600, "47 h 30 min"),
        (60 * 3600, "2.5 days"),
        (3000 * 24 * 3600, "3,000.0 days"),
    ],
)
def test_a_duration_has_the_units_that_matter(seconds: float, expected: str) -> None:
    assert in_words(seconds) == expected


def test_estimates_have_three_digits() -> None:
    assert about(1_234_567) == "about 1,230,000"
    assert about(1_234_567, is_exact=True) == "1,234,567"
    assert about(0) == "about 0"
