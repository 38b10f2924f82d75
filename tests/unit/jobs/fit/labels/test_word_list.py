"""The baseline of a word list."""

import numpy as np

from jobs.fit.labels.word_list import word_list_outputs


def test_words_have_their_most_frequent_tag_and_new_ones_the_most_frequent_of_all() -> None:
    fit_words = ["Paris", "Paris", "Paris", "is", "is", "big", "big"]
    fit_values = np.array([2, 2, 1, 0, 0, 0, 0])
    outputs = word_list_outputs(fit_words, fit_values, ["is", "Paris", "Rome"], 3)
    np.testing.assert_array_equal(outputs, [[1, 0, 0], [0, 0, 1], [1, 0, 0]])


def test_of_equally_frequent_tags_the_first_is_taken() -> None:
    outputs = word_list_outputs(["may", "may", "x"], np.array([2, 1, 0]), ["may"], 3)
    np.testing.assert_array_equal(outputs, [[0, 1, 0]])
