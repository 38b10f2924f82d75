"""Base classes of the heads' options in a job file: weights, text columns and windows.

`pipeline.config.messages` makes error messages of the first sentence of a field's `description` (what is expected)
and its example; `jobs.reference` makes the reference of the settings of the whole description.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

NonEmpty = Annotated[str, StringConstraints(min_length=1)]

DEFAULT_STRIDE = 128
MIN_WINDOW = 16

Shape = Literal["text", "list of text"]
"""What a head reads from one row of a column."""


def as_tuple(value: object) -> object:
    """Lists of the job file as immutable tuples."""
    return tuple(value) if isinstance(value, list) else value


FromList = BeforeValidator(as_tuple)


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, if no two are equal. Raises ValueError otherwise."""
    if len(set(values)) < len(values):
        raise ValueError("holds one of them twice")
    return values


class Section(BaseModel):
    """A table of the job file: immutable, without unknown keys or conversions (`"8"` is not 8)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AddedLater:
    """Marks an option that outputs may have been begun without, as in `Annotated[bool, AddedLater()]`.

    Every option that is added now needs it. It enters the identity of a run only where it differs from its
    default, so those outputs can be continued.
    """


class InputColumn(NamedTuple):
    """A column that a head reads: its name or dotted path, what it must hold, and the option that names it."""

    path: str
    shape: Shape
    option: str


class Window(NamedTuple):
    """The tokens of a window, special tokens included, and of the overlap of neighbouring windows."""

    num_tokens: int
    stride: int


class HeadSection(Section):
    """The options of every head. By default, `weights` is the head's `trunk`, and without one `model.path`."""

    if TYPE_CHECKING:
        task: str
        """Each task's class has a literal here."""

    weights: NonEmpty = Field(
        default="",
        description="a directory with the weights (and labels) of this head. Without it, the head's trunk.",
        examples=["models/topic-xl"],
    )
    trunk: NonEmpty | None = Field(
        default=None,
        description="a directory with the trunk that this head was fine-tuned with. Without it, the trunk at "
        "`model.path`. Trunks of equal content are loaded once.",
        examples=["models/topic-xl"],
    )

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        problems = self._disagreements()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _disagreements(self) -> list[str]:
        """Conflicts between options, as lines `option: problem`."""
        return []

    @property
    @abstractmethod
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The input columns that this head reads, the main text first."""

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Names or dotted paths of the input columns that this head reads, the main text first."""
        return tuple(column.path for column in self.input_columns)


class WindowedHeadSection(HeadSection):
    """A head that splits a long text into windows, or truncates it to one."""

    window: int | None = Field(
        default=None,
        ge=MIN_WINDOW,
        description=f"the most tokens of a window, {MIN_WINDOW} or more and no more than the model can take. "
        "Special tokens count. Without it, as many as the model can take: 512 for XL and XXL.",
        examples=[512],
    )
    stride: int | None = Field(
        default=None,
        ge=0,
        description="the tokens by which neighbouring windows overlap, 0 or more, less than half of `window`. "
        f"Without it, {DEFAULT_STRIDE}, or a quarter of the window where that is less.",
        examples=[DEFAULT_STRIDE],
    )
    truncate: bool = Field(
        default=False,
        description="true (cut a long text to one window) or false (read it in several windows)",
        examples=[True],
    )

    def _disagreements(self) -> list[str]:
        if self.window is None or self.stride is None:
            return super()._disagreements()
        return [*super()._disagreements(), *_stride_problem(self.window, self.stride)]

    def resolve_window(self, max_num_tokens: int) -> Window:
        """The window for a model of `max_num_tokens` positions.

        `window` defaults to `max_num_tokens`, and `stride` to 128, or a quarter of the window if that is less.
        Raises ValueError, which begins with the option's name, if one does not fit the model.
        """
        if self.window is not None and self.window > max_num_tokens:
            raise ValueError(
                f"window: found {self.window}, expected at most {max_num_tokens}, which the model can take; "
                "write less, or leave it out"
            )
        num_tokens = self.window or max_num_tokens
        stride = min(DEFAULT_STRIDE, num_tokens // 4) if self.stride is None else self.stride
        for problem in _stride_problem(num_tokens, stride):
            raise ValueError(problem)
        return Window(num_tokens, stride)


def _stride_problem(num_tokens: int, stride: int) -> list[str]:
    if 2 * stride < num_tokens:
        return []
    return [
        f"stride: found {stride}, expected less than half of the window of {num_tokens} tokens; "
        f"write for example stride = {num_tokens // 4}"
    ]


class TextHeadSection(WindowedHeadSection):
    """A head that reads one text. `text` defaults to `input.text`."""

    text: NonEmpty = Field(
        default="",
        description="the name or dotted path of a text column of the input. Without it, the column that "
        "`input.text` names.",
        examples=["premise"],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text."""
        return (InputColumn(self.text, "text", "text"),)
