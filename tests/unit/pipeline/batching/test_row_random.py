import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching.row_random import random_bits, row_hashes, splitmix64, uniform

NUM_ROWS = 100_000


def test_mix_is_splitmix64() -> None:
    """The first numbers of the reference generator (https://prng.di.unimi.it/splitmix64.c) from state 0."""
    golden = 0x9E3779B97F4A7C15
    states = np.array([0, golden, 2 * golden % 2**64], dtype=np.uint64)
    assert splitmix64(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(
    first=st.integers(0, 1000), num_rows=st.integers(0, 50), before=st.integers(0, 20), after=st.integers(0, 20)
)
def test_a_row_has_one_hash_whatever_fragment_it_is_in(first: int, num_rows: int, before: int, after: int) -> None:
    inner = row_hashes("a/b.parquet", first + before, num_rows)
    outer = row_hashes("a/b.parquet", first, before + num_rows + after)
    assert np.array_equal(inner, outer[before : before + num_rows])


def test_rows_and_files_have_hashes_of_their_own() -> None:
    files = [row_hashes(path, 0, NUM_ROWS) for path in ("a.parquet", "b.parquet", "a/a.parquet", "ä.parquet")]
    assert len(np.unique(np.concatenate(files))) == 4 * NUM_ROWS


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 511)), min_size=1), st.integers(0, 2**63 - 1))
def test_a_draw_does_not_depend_on_its_neighbours(pairs: list[tuple[int, int]], seed: int) -> None:
    hashes = np.array([h for h, _ in pairs], dtype=np.uint64)
    positions = np.array([p for _, p in pairs], dtype=np.int64)
    together = random_bits(hashes, seed, positions)
    alone = [random_bits(hashes[i : i + 1], seed, positions[i : i + 1])[0] for i in range(len(pairs))]
    assert together.tolist() == alone


def test_draws_of_other_seeds_positions_and_rows_are_unrelated() -> None:
    hashes = row_hashes("a.parquet", 0, NUM_ROWS)
    zeros = np.zeros(NUM_ROWS, dtype=np.int64)
    bits = random_bits(hashes, 0, zeros)
    for other in (random_bits(hashes, 1, zeros), random_bits(hashes, 0, zeros + 1), np.roll(bits, 1)):
        # Half of 64 bits differ: mean 32, standard deviation 4 a pair.
        num_different = np.bitwise_count(bits ^ other)
        assert abs(num_different.mean() - 32) < 5 * 4 / NUM_ROWS**0.5


def test_uniform_is_uniform() -> None:
    values = uniform(random_bits(row_hashes("a.parquet", 0, NUM_ROWS), 7, np.arange(NUM_ROWS)))
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, bins=100, range=(0, 1))[0]
    expected = NUM_ROWS / 100
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # 99 degrees of freedom: mean 99, standard deviation 14.
    assert abs(chi_square - 99) < 5 * 14


def test_uniform_stays_below_one() -> None:
    ends = uniform(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert ends[0] == 0
    assert 1 - 2.0**-52 < ends[1] < 1
