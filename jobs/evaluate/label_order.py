"""Notice a head whose labels are in another order than its names say.

People have published 4 % for 90 % this way: see https://github.com/huggingface/transformers/pull/10401.
"""

from jobs.evaluate.labels import OPTION, labels_remedy
from jobs.evaluate.metrics.permutation import suspicious_assignment
from jobs.evaluate.task_scores import ScoredTask
from pipeline.errors import ConfigError


def require_plausible_labels(scored: ScoredTask, option: str) -> None:
    """Raise ConfigError where another assignment of labels explains the predictions far better.

    `option` is the setting for the labels of this task.
    """
    if scored.task.kind != "classification":
        return
    gold = [name for each in scored.subsets.values() for name in each.scores.gold]
    predicted = [name for each in scored.subsets.values() for name in each.scores.predicted]
    names = sorted(set(scored.record.labels.values()))
    found = suspicious_assignment(gold, predicted, names)
    if found is None:
        return
    label_of = {name: label for label, name in scored.record.labels.items()}
    assigned = {str(gold): str(name) for gold, name in found.predicted_of_gold.items()}
    order = [name for name in scored.task.labels or sorted(assigned) if name in assigned]
    mistaken = ", ".join(f"{assigned[name]} stands for {name}" for name in order if assigned[name] != name)
    remedy = labels_remedy({name: label_of[assigned[name]] for name in order}, option)
    as_given = f"{OPTION} as-given" if option == OPTION else f"--set {option}=as-given"
    raise ConfigError(
        f"{option}: found labels of {scored.record.head} that agree with {scored.task.name} in "
        f"{100 * found.accuracy_as_given:.1f} % of the rows, and in {100 * found.accuracy:.1f} % if {mistaken}; "
        f"expected names that mean what they say; add {remedy} to set them, or {as_given} to score "
        "them as they are; the predictions stay"
    )
