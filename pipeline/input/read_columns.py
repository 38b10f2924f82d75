"""The columns that a job reads, by the keys of the job file that name them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.storage.printable import shortened

if TYPE_CHECKING:
    # Processes that plan files do without the job file and what reads it.
    from pipeline.config.job import JobConfig
    from pipeline.tasks.sections import InputColumn, Shape

_MAX_KEYS = 3


@dataclass(frozen=True)
class ReadColumns:
    """Names or dotted paths of the columns that a job reads.

    Attributes:
        texts: columns of text, each with the keys of the job file that name it, for messages.
        carried: the columns to copy to the output; None for all.
        text_lists: columns of lists of text, with their keys.
        carries_partition: whether the Hive partition columns are carried too.
    """

    texts: Mapping[str, str]
    route: str | None
    carried: tuple[str, ...] | None
    text_lists: Mapping[str, str] = field(default_factory=dict)
    carries_partition: bool = False

    @classmethod
    def of_job(cls, job: "JobConfig") -> "ReadColumns":
        """The columns that the heads and `[input]` of a job name."""
        config = job.input
        texts, text_lists = _keys_by_path(job, "text"), _keys_by_path(job, "list of text")
        return cls(texts, config.route, config.columns, text_lists, config.hive is True)

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that the job names, carried ones first."""
        route = () if self.route is None else (self.route,)
        return tuple(dict.fromkeys([*(self.carried or ()), *self.texts, *self.text_lists, *route]))

    def carried_of(self, available: Iterable[str], keys: Iterable[str] = ()) -> tuple[str, ...]:
        """The columns to carry of a file with the columns `available` and the partition columns `keys`."""
        carried = available if self.carried is None else self.carried
        return tuple(dict.fromkeys([*carried, *(keys if self.carries_partition else ())]))

    def names(self, available: Iterable[str], keys: Iterable[str] = ()) -> tuple[str, ...]:
        """The columns to read of such a file, carried ones first."""
        return tuple(dict.fromkeys([*self.carried_of(available, keys), *self.named]))

    def keys(self, name: str) -> str:
        """The keys of the job file that name a column, or could name it, for messages."""
        keys = [key for key, _ in self.shapes(name)]
        if not keys or name in (self.carried or ()):
            keys.append("input.columns")
        return ", ".join(keys)

    def shapes(self, name: str) -> list[tuple[str, "Shape | Literal['heads']"]]:
        """What a column is read as, with the keys that say so."""
        shapes: list[tuple[str, Shape | Literal["heads"]]] = []
        if name in self.texts:
            shapes.append((self.texts[name], "text"))
        if name in self.text_lists:
            shapes.append((self.text_lists[name], "list of text"))
        if name == self.route:
            shapes.append(("input.route", "heads"))
        return shapes


def _keys_by_path(job: "JobConfig", shape: "Shape") -> dict[str, str]:
    """The columns that heads read as a shape, each with the keys that name it."""
    keys: dict[str, dict[str, None]] = {}
    for name, head in job.heads.items():
        for column in head.input_columns:
            if column.shape == shape:
                keys.setdefault(column.path, {})[_key(job, name, column)] = None
    return {path: shortened(list(named), _MAX_KEYS) for path, named in keys.items()}


def _key(job: "JobConfig", head: str, column: "InputColumn") -> str:
    """The key of the job file that names a head's column, which may be the default of `text`."""
    is_default = column.option == "text" and column.path == job.input.text
    return "input.text" if is_default else f"heads.{head}.{column.option}"
