import json

import pytest

from pipeline.output.claim import Claim

CLAIM = Claim.of_this_process(60.0)
VALUES = json.loads(CLAIM.to_json())


def test_a_claim_is_what_was_written() -> None:
    assert Claim.parse(CLAIM.to_json()) == CLAIM


@pytest.mark.parametrize(
    "values",
    [
        {"timeout_s": float("nan")},
        {"timeout_s": 1e300},
        {"timeout_s": -1},
        {"timeout_s": "60"},
        {"timeout_s": None},
        {"pid": "1"},
        {"pid": True},
        {"started": 1.5},
        {"host": 5},
        {"token": None},
        {"num_beats": []},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_claim_is_not_waited_for_as_one(values: dict[str, object]) -> None:
    assert Claim.parse(json.dumps(VALUES | values).encode()) is None


@pytest.mark.parametrize("data", [None, b"", b"[]", b"{}", b"[" * 100_000, b"\xff", CLAIM.to_json()[:-9]])
def test_half_written_claims_are_none(data: bytes | None) -> None:
    assert Claim.parse(data) is None
