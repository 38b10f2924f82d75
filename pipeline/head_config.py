"""The options of a head, `[heads.NAME]`: one class a task, told apart by `task`.

A field's `description` says what is expected and its example how to write it: the messages of
`pipeline.config_errors` are made of both.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NonEmpty = Annotated[str, StringConstraints(min_length=1)]


class Section(BaseModel):
    """A table of the job file: read only, no unknown keys, no conversions (`"8"` is not 8)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class HeadSection(Section):
    """What every head has. Left out, `weights` is `model.path` and `text` is `input.text`."""

    weights: NonEmpty = Field(
        default="",
        description="a directory with the weights (and labels) of this head",
        examples=["heads/topic"],
    )
    trunk: NonEmpty | None = Field(
        default=None,
        description="a directory with the trunk that this head was fine-tuned with",
        examples=["models/xlm-roberta-xl-topic"],
    )
    text: NonEmpty = Field(default="", description="the name of a text column of the input", examples=["text"])

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The input columns that this head reads, the first text first."""
        return (self.text,)


class TextClassificationHead(HeadSection):
    """Single-label, multi-label or regression, as the head's own configuration says."""

    task: Literal["text-classification"]
    text_pair: NonEmpty | None = Field(
        default=None,
        description="the name of the column with the second text of a pair",
        examples=["hypothesis"],
    )
    truncate: bool = Field(
        default=False,
        description="true (cut a long text to one window) or false (read it in several windows)",
        examples=[True],
    )

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The input columns that this head reads, the first text first."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)


class EmbeddingHead(HeadSection):
    """One vector a text."""

    task: Literal["embedding"]
    pooling: Literal["mean", "cls", "max", "pooler"] = Field(
        default="mean", description='"mean", "cls", "max" or "pooler"', examples=["mean"]
    )
    normalize: bool = Field(default=True, description="true (vectors of length 1) or false", examples=[True])


class MaskedLMLossHead(HeadSection):
    """Negative log-likelihood of masked tokens, in nats."""

    task: Literal["masked-lm-loss"]
    mask_probability: float = Field(
        default=0.15,
        gt=0,
        le=1,
        description="the share of tokens to mask, more than 0 and at most 1",
        examples=[0.15],
    )
    strategy: Literal["sample", "all"] = Field(
        default="sample",
        description='"sample" (mask a random share once) or "all" (mask every token in turn)',
        examples=["sample"],
    )
    seed: int = Field(default=0, ge=0, description="a whole number, 0 or more", examples=[0])


HeadConfig = Annotated[TextClassificationHead | EmbeddingHead | MaskedLMLossHead, Field(discriminator="task")]

HEAD_SECTIONS: dict[str, type[HeadSection]] = {
    "text-classification": TextClassificationHead,
    "embedding": EmbeddingHead,
    "masked-lm-loss": MaskedLMLossHead,
}
"""The class of each task's options, by task."""
