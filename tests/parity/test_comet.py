"""Scores, sub-scores and spans of converted COMET checkpoints against those of COMET 2.2.7 itself.

What COMET says is in `tests/comet/expected`; `tests.comet.make_expected` makes it.
"""

import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from model import ShardGroup, XLMRobertaXLTokenizer
from tests.comet.checkpoints import BY_NAME, CHECKPOINTS, DEMO_TOKENIZER
from tests.comet.comparison import Rows, differences_of
from tests.comet.job import convert_all, score
from tests.comet.make_expected import EXPECTED
from tests.comet.pairs import Pair, digest_of, edge_pairs, sample_pairs
from tests.distributed.processes import run_on_ranks

RUNS = [
    (checkpoint.name, mode)
    for checkpoint in CHECKPOINTS
    for mode in (("without", "with") if checkpoint.takes_reference else ("without",))
]


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return sample_pairs() + edge_pairs(XLMRobertaXLTokenizer(DEMO_TOKENIZER))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("comet")
    convert_all(directory)
    return directory


def expected_of(name: str, pairs: list[Pair]) -> Rows:
    """What COMET says of the pairs, a row each."""
    table = pq.read_table(EXPECTED / f"{name}.parquet")
    assert table.schema.metadata[b"pairs"].decode() == digest_of(pairs), "other pairs: run make_expected"
    rows: Rows = table.to_pylist()
    return rows


def test_pairs_are_of_many_scripts_and_few_are_left_out(pairs: list[Pair]) -> None:
    expected = expected_of(CHECKPOINTS[0].name, pairs)
    compared = [pair for pair, row in zip(pairs, expected, strict=True) if row["is_compared"]]
    assert len(compared) >= 300
    assert len(compared) >= 0.95 * len(pairs)
    letters = {letter for pair in compared for letter in pair.translation if letter.isalpha()}
    scripts = {unicodedata.name(letter).split()[0] for letter in letters}
    assert len(scripts) >= 15


@pytest.mark.parametrize("name", BY_NAME)
def test_expected_values_tell_pairs_apart(name: str, pairs: list[Pair]) -> None:
    """What would agree with anything shows nothing: scores vary, and spans are of every severity, some of none."""
    rows = [row["without"] for row in expected_of(name, pairs)]
    scores = sorted(row["score"] for row in rows)
    assert scores[-1] - scores[0] > 0.1
    assert len({round(score, 3) for score in scores}) > 50
    if BY_NAME[name].has_spans:
        severities = {span["severity"] for row in rows for span in row["spans"]}
        assert severities == {*BY_NAME[name].severities}
        assert 0.02 < sum(not row["spans"] for row in rows) / len(rows) < 0.9


@pytest.mark.parametrize(("name", "mode"), RUNS)
def test_one_rank(name: str, mode: str, converted: Path, pairs: list[Pair]) -> None:
    found = score(ShardGroup(), converted / name, pairs, with_reference=mode == "with")
    assert_equal_to_comet(found, expected_of(name, pairs), mode)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode"), RUNS)
def test_two_ranks(name: str, mode: str, converted: Path, pairs: list[Pair]) -> None:
    found = run_on_ranks(2, _score_on_rank, converted / name, pairs, mode == "with")
    assert_equal_to_comet(found[0], expected_of(name, pairs), mode)


def _score_on_rank(group: ShardGroup, converted: Path, pairs: list[Pair], with_reference: bool) -> Rows:
    return score(group, converted, pairs, with_reference=with_reference, token_budget=8192)


def test_blank_texts_are_errors_unless_they_are_scored(converted: Path, pairs: list[Pair]) -> None:
    blank = [pair for pair in pairs if "" in (pair.source, pair.translation, pair.reference)]
    assert len(blank) == 4
    rows = score(ShardGroup(), converted / "xcomet-sparsemax", blank, with_reference=True, blank="error")
    assert all(row["quality"] is None and row["error"] for row in rows)


def assert_equal_to_comet(found: Rows, expected: Rows, mode: str) -> None:
    """Compare rows; all differences are shown at once, with the kind of their pair."""
    differences = [
        f"row {number} ({ours['kind']}): {difference}"
        for number, (ours, theirs) in enumerate(zip(found, expected, strict=True))
        if theirs["is_compared"]
        for difference in differences_of(ours, theirs[mode])
    ]
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:20])
