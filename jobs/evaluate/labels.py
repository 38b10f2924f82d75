"""Join the labels of a head with those of a benchmark: by name, never by position.

Heads of the same task number their classes differently: MNLI's entailment is 0 in the hub's files and 2 in heads
that were trained with fairseq.
"""

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from jobs.evaluate.examples import GOLD, BenchmarkTask, Kind
from jobs.evaluate.pairs import written_pairs
from pipeline.errors import ConfigError, InputError
from pipeline.storage.printable import printable, shortened

OPTION = "--labels"
LABELLED: tuple[Kind, ...] = ("classification", "multi-label", "words")
"""Kinds whose gold is a label, or several."""
_NUMBERED = re.compile(r"label[_ -]?\d+", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s_-]+")


def join_labels(
    task: BenchmarkTask,
    head_labels: Sequence[str],
    given: Mapping[str, str] | None,
    where: str,
    option: str = OPTION,
) -> dict[str, str]:
    """The benchmark's label by that of the head; word labels that the benchmark lacks stand for themselves.

    `given`: labels of the head by the benchmark's name, for those that the user has named in `option`. `where`:
    the head's directory, for messages. Raises ConfigError where a label has no name in the benchmark, or one of
    the benchmark's has none in the head.
    """
    if given is not None:
        _require_known(task, head_labels, given, option)
    named = {label: name for name, label in (given or {}).items()}
    joined = {label: named.get(label) or _name_of(task, label) for label in head_labels}
    if task.kind == "words":
        return _joined_words(task, head_labels, joined, where, option)
    unknown = [label for label, name in joined.items() if name is None]
    found = {label: name or label for label, name in joined.items()}
    names = [found[label] for label in head_labels]
    missing = [name for name in task.labels if name not in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing or twice or (unknown and task.labels):
        raise ConfigError(_refusal(task, head_labels, missing, twice, where, option))
    return found


def require_names_of_golds(
    task: BenchmarkTask,
    examples: Mapping[str, pa.Table],
    joined: Mapping[str, str],
    where: str,
    option: str = OPTION,
) -> None:
    """Raise ConfigError where no label of the head stands for a gold label. Of word labels one is enough."""
    golds: set[str] = set()
    for table in examples.values():
        column = table[GOLD].combine_chunks()
        values = column.flatten() if pa.types.is_list(column.type) else column
        golds |= set(values.drop_null().unique().to_pylist())
    named = set(joined.values())
    absent = sorted(golds - named)
    if not absent or (task.kind == "words" and golds & named - {"O"}):
        return
    raise ConfigError(
        f"head.weights: {where} has no label for the gold {shortened(absent)} (found "
        f"{shortened(sorted(joined))}), expected one for each; say which is which as in "
        f"{labels_remedy({absent[0]: min(joined)}, option)}, or name another head"
    )


def recorded_name(label: str, joined: Mapping[str, str]) -> str:
    """The benchmark's name of a predicted label. Raises InputError if the recorded head does not have it."""
    if label not in joined:
        raise InputError(
            f"--output: found the predicted label {printable(label)}, expected those of the recorded head: "
            f"{shortened(list(joined))}; run the evaluation again with its model"
        )
    return joined[label]


def labels_remedy(pairs: Mapping[str, str], option: str = OPTION) -> str:
    """How to set labels of the head by the benchmark's name, as one writes it in a shell."""
    if option == OPTION:
        return f"{OPTION} {written_pairs(pairs)}"
    table = ", ".join(
        f"{json.dumps(n, ensure_ascii=False)}={json.dumps(pairs[n], ensure_ascii=False)}" for n in pairs
    )
    return "--set " + shlex.quote(f"{option}={{{table}}}")


def labels_option(task: str, tasks: Collection[str]) -> str:
    """The setting for the labels of a task among others."""
    return OPTION if len(tasks) == 1 else f"tasks.{task}.labels"


def require_labels(kind: Kind, option: str = OPTION) -> None:
    """Raise ConfigError for labels of a task whose head has none that stand for a gold."""
    if kind not in LABELLED:
        raise ConfigError(f"{option}: found for {kind}, expected for {', '.join(LABELLED)} only; leave it out")


def normalized(label: str) -> str:
    """A label in lower case, with underscores in place of blanks and hyphens."""
    return _SEPARATORS.sub("_", label.strip()).casefold()


def _name_of(task: BenchmarkTask, label: str) -> str | None:
    """The benchmark's name of a label, or None."""
    known = {normalized(name): name for name in task.labels}
    known |= {normalized(alias): name for alias, name in task.aliases.items()}
    return known.get(normalized(label))


def _joined_words(
    task: BenchmarkTask, head_labels: Sequence[str], joined: Mapping[str, str | None], where: str, option: str
) -> dict[str, str]:
    """Word labels: tags without prefix stand for those with one (B-NOUN and I-NOUN of a head are NOUN)."""
    has_prefixes = any(name.startswith(("B-", "I-")) for name in task.labels)
    found = {}
    for label in head_labels:
        bare = label[2:] if label[:2] in ("B-", "I-") and not has_prefixes else label
        found[label] = joined[label] or _name_of(task, bare) or label
    outside = {"O"} & set(task.labels)
    if task.labels and not (set(found.values()) & set(task.labels)) - outside:
        raise ConfigError(_refusal(task, head_labels, list(task.labels), [], where, option))
    return found


def _require_known(task: BenchmarkTask, head_labels: Sequence[str], given: Mapping[str, str], option: str) -> None:
    for name, label in given.items():
        if task.labels and name not in task.labels:
            raise ConfigError(
                f"{option}: found {name}={label}, expected a name of {task.name}: {', '.join(task.labels)}; "
                "write NAME=LABEL, the benchmark's name first"
            )
        if label not in head_labels:
            raise ConfigError(
                f"{option}: found {name}={label}, expected a label of the head: "
                f"{shortened(list(head_labels), 10)}; see id2label in its config.json"
            )


def _refusal(
    task: BenchmarkTask,
    head_labels: Sequence[str],
    missing: Sequence[str],
    twice: Sequence[str],
    where: str,
    option: str,
) -> str:
    found = shortened(list(head_labels), 10)
    expected = shortened(list(task.labels), 20) or "each name once"
    if task.labels and len(head_labels) != len(task.labels) and task.kind != "words":
        return (
            f"head.weights: {where} has {len(head_labels)} labels ({found}), expected the {len(task.labels)} of "
            f"{task.name}: {expected}; name a head that was fine-tuned for {task.name}"
        )
    remedy = labels_remedy(dict(zip(task.labels or head_labels, head_labels, strict=False)), option)
    if all(_NUMBERED.fullmatch(label) for label in head_labels):
        return (
            f"head.weights: {where} has labels without names ({found}), expected names of {expected}; say which "
            f"is which as in {remedy} (in the right order: see how the head was trained)"
        )
    what = (
        f"no label for {shortened(list(missing), 10)}" if missing else f"several for {shortened(list(twice), 10)}"
    )
    return (
        f"head.weights: {where} has {what} (found {found}), expected {expected}; say which is which as in "
        f"{remedy}, or name a head of {task.name}"
    )
