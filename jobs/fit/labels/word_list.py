"""A baseline for tags of words: a list of the words fitted on, each with its most frequent tag."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.fit.fitted_head import Floats


def word_list_outputs(
    fit_words: Sequence[str], fit_values: NDArray[np.int64], words: Sequence[str], num_labels: int
) -> Floats:
    """Outputs `[n, num_labels]`, 1 for the tag of each word.

    Words that are not in the list have the most frequent tag of all; of equally frequent tags the first is taken.

    Args:
        fit_words, fit_values: the words fitted on and the places of their tags.
        words: to tag.
    """
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for word, value in zip(fit_words, fit_values.tolist(), strict=True):
        counts[word][value] += 1
    of_word = {word: min(found, key=lambda tag: (-found[tag], tag)) for word, found in counts.items()}
    common = int(np.bincount(fit_values, minlength=num_labels).argmax())
    outputs = np.zeros((len(words), num_labels))
    outputs[np.arange(len(words)), [of_word.get(word, common) for word in words]] = 1
    return outputs
