"""The windows of a batch that cuDNN computes: each lies in one run, whatever is between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.attention_windows import WINDOW_LENGTH, window_runs


@given(st.lists(st.sampled_from([1, 40, WINDOW_LENGTH - 1, WINDOW_LENGTH, WINDOW_LENGTH + 1, 2 * WINDOW_LENGTH])))
def test_each_window_lies_in_one_run_of_a_power_of_two(lengths: list[int]) -> None:
    begins = [sum(lengths[:i]) for i in range(len(lengths))]
    windows = [begin for begin, length in zip(begins, lengths, strict=True) if length == WINDOW_LENGTH]
    runs = window_runs(tuple(lengths))
    assert [first + i * WINDOW_LENGTH for first, size in runs for i in range(size)] == windows
    assert all(size.bit_count() == 1 for _, size in runs)


@pytest.mark.parametrize(
    ("num_windows", "sizes"), [(1, [1]), (64, [64]), (63, [32, 16, 8, 4, 2, 1]), (40, [32, 8])]
)
def test_a_run_is_cut_into_few_calls(num_windows: int, sizes: list[int]) -> None:
    lengths = (7, *[WINDOW_LENGTH] * num_windows, 9)
    assert [size for _, size in window_runs(lengths)] == sizes
