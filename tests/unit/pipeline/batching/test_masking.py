import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.batching.masking import Vocabulary, sample_masks
from pipeline.batching.row_random import row_hashes

VOCAB_SIZE = 1000
VOCABULARY = Vocabulary(mask_id=VOCAB_SIZE - 1)
# The text of a row; the special tokens around it are put there by `masks_of`.
ROWS = st.lists(st.lists(st.integers(3, VOCAB_SIZE - 1), max_size=12), max_size=12)
PROBABILITIES = st.floats(0.001, 1)
Rows = list[NDArray[np.int32]]


def masks_of(
    texts: list[list[int]], *, first_row: int = 0, probability: float = 0.15, seed: int = 0
) -> tuple[Rows, Rows]:
    """Masked ids and labels of `<s> text </s>`, by row."""
    lengths = np.array([len(text) + 2 for text in texts], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    row = np.repeat(np.arange(len(texts)), lengths)
    position = np.arange(len(row)) - offsets[row]
    masked, labels = sample_masks(
        np.array([token for text in texts for token in [0, *text, 2]], dtype=np.int32),
        row,
        position - 1,
        (position > 0) & (position < lengths[row] - 1),
        row_hashes("a/b.parquet", first_row, len(texts)),
        probability=probability,
        seed=seed,
        vocabulary=VOCABULARY,
    )
    assert masked.dtype == labels.dtype == np.int32
    return np.split(masked, offsets[1:-1]), np.split(labels, offsets[1:-1])


@given(ROWS, PROBABILITIES)
def test_the_share_of_each_row_is_masked_and_nothing_else_changes(
    texts: list[list[int]], probability: float
) -> None:
    for text, masked, labels in zip(texts, *masks_of(texts, probability=probability), strict=False):
        ids = np.array([0, *text, 2])
        chosen = labels != -100
        assert chosen.sum() == min(len(text), max(1, round(probability * len(text))))
        assert not chosen[[0, -1]].any()
        assert np.array_equal(labels[chosen], ids[chosen])
        assert np.array_equal(masked[~chosen], ids[~chosen])
        assert ((masked[chosen] >= 4) | (masked[chosen] == ids[chosen])).all()
        assert (masked < VOCAB_SIZE).all()


@given(ROWS, st.integers(0, 10), st.integers(0, 10), PROBABILITIES)
def test_a_row_is_masked_alike_in_whatever_fragment_it_is_read(
    texts: list[list[int]], begin: int, end: int, probability: float
) -> None:
    begin, end = min(begin, len(texts)), min(max(begin, end), len(texts))
    whole = masks_of(texts, first_row=3, probability=probability)
    piece = masks_of(texts[begin:end], first_row=3 + begin, probability=probability)
    for all_rows, some_rows in zip(whole, piece, strict=True):
        for i, values in enumerate(some_rows[: end - begin]):
            assert np.array_equal(values, all_rows[begin + i])


@given(st.lists(st.integers(3, VOCAB_SIZE - 1), min_size=1, max_size=40), st.integers(1, 39), PROBABILITIES)
def test_a_token_is_masked_alike_in_whatever_window_owns_it(text: list[int], cut: int, probability: float) -> None:
    """Two windows that both show all of the text; the first owns what is before the cut."""
    cut = min(cut, len(text))
    positions = np.arange(len(text))
    masked, labels = sample_masks(
        np.array([*text, *text], dtype=np.int32),
        np.zeros(2 * len(text), dtype=np.int64),
        np.concatenate([positions, positions]),
        np.concatenate([positions < cut, positions >= cut]),
        row_hashes("a/b.parquet", 0, 1),
        probability=probability,
        seed=0,
        vocabulary=VOCABULARY,
    )
    [expected_masked], [expected_labels] = masks_of([text], probability=probability)
    first, second = slice(0, cut), slice(len(text) + cut, None)
    assert np.concatenate([labels[first], labels[second]]).tolist() == expected_labels[1:-1].tolist()
    assert np.concatenate([masked[first], masked[second]]).tolist() == expected_masked[1:-1].tolist()
    # In the other window each token is as it was.
    assert (labels[cut : len(text) + cut] == -100).all()


def test_every_token_is_masked_at_probability_1() -> None:
    _, [labels] = masks_of([[7, 3, VOCABULARY.mask_id]], probability=1)
    assert labels.tolist() == [-100, 7, 3, VOCABULARY.mask_id, -100]


def test_a_row_without_text_has_nothing_to_predict() -> None:
    masked, labels = masks_of([[], [5], []])
    assert [masked[0].tolist(), masked[2].tolist()] == [[0, 2], [0, 2]]
    assert [row.tolist() for row in labels] == [[-100, -100], [-100, 5, -100], [-100, -100]]


NUM_DRAWN_ROWS, ROW_LENGTH = 4000, 40


@pytest.fixture(scope="module")
def drawn() -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """ids, masked ids and labels `[NUM_DRAWN_ROWS, ROW_LENGTH]` of random text at 15 %: six tokens a row."""
    text = np.random.default_rng(0).integers(4, VOCABULARY.mask_id, (NUM_DRAWN_ROWS, ROW_LENGTH))
    masked, labels = (np.array(values)[:, 1:-1] for values in masks_of(text.tolist()))
    return text.astype(np.int32), masked, labels


def test_of_the_chosen_80_percent_are_masks_10_random_and_10_kept(
    drawn: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
) -> None:
    ids, masked, labels = drawn
    chosen = labels != -100
    num_chosen = chosen.sum()
    assert num_chosen == NUM_DRAWN_ROWS * 6
    is_mask = masked[chosen] == VOCABULARY.mask_id
    is_kept = masked[chosen] == ids[chosen]
    for share, expected in [(is_mask, 0.8), (is_kept, 0.1), (~is_mask & ~is_kept, 0.1)]:
        assert abs(share.mean() - expected) < 5 * (expected * (1 - expected) / num_chosen) ** 0.5


def test_random_tokens_are_of_the_whole_vocabulary_and_no_special_ones(
    drawn: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
) -> None:
    ids, masked, labels = drawn
    tokens = masked[(labels != -100) & (masked != ids) & (masked != VOCABULARY.mask_id)]
    assert tokens.min() >= 4
    assert tokens.max() < VOCABULARY.mask_id
    # About 2,400 draws from 995 tokens leave exp(-2.4) of them out: 89; the standard deviation is under 10.
    assert len(np.unique(tokens)) > 995 - 89 - 50
    counts = np.histogram(tokens, bins=10, range=(4, VOCABULARY.mask_id))[0]
    assert counts.min() > len(tokens) / 10 - 5 * (len(tokens) / 10) ** 0.5


def test_all_positions_are_chosen_alike(
    drawn: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
) -> None:
    chosen = drawn[2] != -100
    share = 6 / ROW_LENGTH
    deviation = (share * (1 - share) / NUM_DRAWN_ROWS) ** 0.5
    assert np.abs(chosen.mean(axis=0) - share).max() < 5 * deviation


def test_seeds_and_rows_draw_other_masks() -> None:
    row = list(range(10, 110))
    _, same_text = masks_of([row, row])
    assert not np.array_equal(same_text[0], same_text[1])
    _, [other_seed] = masks_of([row], seed=1)
    assert not np.array_equal(same_text[0], other_seed)
    _, [again] = masks_of([row])
    assert np.array_equal(same_text[0], again)
