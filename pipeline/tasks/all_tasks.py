"""The list of all tasks. To add one, write its file in this folder and add its name here."""

from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pipeline.tasks.contract import Task
from pipeline.tasks.sections import HeadSection

_FILES = (
    "text_classification",
    "token_classification",
    "question_answering",
    "multiple_choice",
    "embedding",
    "fill_mask",
    "masked_lm_loss",
    "causal_lm_loss",
    "text_generation",
    "zero_shot_classification",
    "translation_quality",
)

_ALL: tuple[Task[Any], ...] = tuple(import_module(f"pipeline.tasks.{name}").TASK for name in _FILES)
TASKS = {task.name: task for task in _ALL}
"""Each task by its name in a job file."""
HEAD_SECTIONS: dict[str, type[HeadSection]] = {name: task.options for name, task in TASKS.items()}
"""The class of each task's options, by task."""

if TYPE_CHECKING:
    HeadConfig = HeadSection
else:
    HeadConfig = Annotated[reduce(or_, HEAD_SECTIONS.values()), Field(discriminator="task")]
    """The options of a head, `[heads.NAME]`: those of its task."""
