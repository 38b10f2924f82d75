"""Accuracy of tags without prefixes, as of parts of speech, and the F1 that XTREME reports for them.

XTREME gives plain tags to an F1 of entities. Source: seqeval 0.0.12, `metrics/sequence_labeling.py`; later
versions strip the first letter of a tag and give other figures. A tag's first letter is its prefix, and what
follows its last hyphen, or all of it, is its type. So neighbours of equal tags make one entity, but each SYM or
SCONJ is one by itself, since S is the prefix of entities of one word.

A failed sentence's prediction is None, and a word's may be: such words are wrong, and no entity is found in them.
"""

import numpy as np

from jobs.evaluate.metrics.entities import PredictedTags, Tags, complete
from jobs.evaluate.metrics.label_counts import micro_f1
from jobs.evaluate.metrics.weighted import Metric, ratio, summed_metric


def token_accuracy_metric(gold: Tags, predicted: PredictedTags) -> Metric:
    """The share of words with the right tag; rows are sentences."""
    counts = []
    for expected, found in zip(gold, predicted, strict=True):
        tags = [None] * len(expected) if found is None else found
        counts.append((sum(a == b for a, b in zip(expected, tags, strict=True)), len(expected)))
    return summed_metric(np.array(counts), lambda sums: ratio(sums[:, 0], sums[:, 1]))


def xtreme_f1_metric(gold: Tags, predicted: PredictedTags) -> Metric:
    """F1 of the entities that seqeval 0.0.12 finds in plain tags; rows are sentences."""
    sides = plain_entities(gold), plain_entities(complete(gold, predicted))
    counts = [(len(expected & found), len(expected), len(found)) for expected, found in zip(*sides, strict=True)]
    return summed_metric(np.array(counts), micro_f1)


def plain_entities(sentences: Tags) -> list[set[tuple[str, int, int]]]:
    """The entities of each sentence: type, first and last word.

    Words are numbered in one row of all sentences, an O after each, as in the source: an entity that ends without
    having started, as X after O-X, then has the start of the one before, even in another sentence.
    """
    found = []
    place, start, last_prefix, last_type = 0, 0, "O", ""
    for tags in sentences:
        entities = set()
        for tag in [*tags, "O"]:
            prefix, type_ = tag[0], tag.split("-")[-1]
            is_other_type = type_ != last_type
            if _ends(last_prefix, prefix, is_other_type):
                entities.add((last_type, start, place - 1))
            if _starts(last_prefix, prefix, is_other_type):
                start = place
            place, last_prefix, last_type = place + 1, prefix, type_
        found.append(entities)
    return found


def _ends(last_prefix: str, prefix: str, is_other_type: bool) -> bool:
    """Whether an entity ends before this word."""
    return (
        last_prefix in "ES"
        or (last_prefix in "BI" and prefix in "BSO")
        or (last_prefix not in "O." and is_other_type)
    )


def _starts(last_prefix: str, prefix: str, is_other_type: bool) -> bool:
    """Whether an entity starts with this word."""
    return prefix in "BS" or (last_prefix in "ESO" and prefix in "EI") or (prefix not in "O." and is_other_type)
