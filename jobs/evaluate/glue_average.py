"""GLUE's average: a task is the mean of its metrics (MNLI over matched and mismatched), then an unweighted mean.

The leaderboard's is over nine tasks. Papers usually leave WNLI out, and count in several ways besides, so the rule
is part of the name. The diagnostic set AX is in neither.
"""

from collections.abc import Mapping

from jobs.evaluate.results import Figure, Measured, mean_of

_NINE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")


def glue_averages(scores: Mapping[str, Measured]) -> dict[str, Figure]:
    """By rule, the averages for which all tasks are there; else that over the tasks that are."""
    found = {}
    for rule, names in (
        ("mean of the nine tasks, each the mean of its metrics", _NINE),
        ("mean of the eight without WNLI, likewise, as most papers have it", _NINE[:-1]),
    ):
        if all(name in scores for name in names):
            found[rule] = mean_of([scores[name] for name in names]).figure
    present = [name for name in _NINE if name in scores]
    if not found and len(present) > 1:
        rule = (
            f"mean of {len(present)} of the nine tasks ({', '.join(present)}), which no other figure compares with"
        )
        found[rule] = mean_of([scores[name] for name in present]).figure
    return found
