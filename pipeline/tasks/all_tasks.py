"""The options of a head, `[heads.NAME]`: one class a task, told apart by `task`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from pipeline.language_head_config import CausalLMLossHead, FillMaskHead, MaskedLMLossHead, TextGenerationHead
from pipeline.tasks.sections import (
    FromList,
    HeadSection,
    InputColumn,
    NonEmpty,
    Section,
    TextHeadSection,
    WindowedHeadSection,
)

__all__ = [
    "HEAD_SECTIONS",
    "CausalLMLossHead",
    "EmbeddingHead",
    "FillMaskHead",
    "HeadConfig",
    "HeadSection",
    "InputColumn",
    "MaskedLMLossHead",
    "MultipleChoiceHead",
    "NonEmpty",
    "QuestionAnsweringHead",
    "Section",
    "TextClassificationHead",
    "TextGenerationHead",
    "TokenClassificationHead",
    "ZeroShotHead",
]


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("holds one of them twice")
    return values


def _one_blank(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("expected one {}")
    return template


class TextClassificationHead(TextHeadSection):
    """Single-label, multi-label or regression, as the head's own configuration says."""

    task: Literal["text-classification"]
    text_pair: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of the column with the second text of a pair",
        examples=["hypothesis"],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text, and the second text of a pair."""
        pair = () if self.text_pair is None else (InputColumn(self.text_pair, "text", "text_pair"),)
        return (*super().input_columns, *pair)


class TokenClassificationHead(TextHeadSection):
    """Entities of a text, or one label for each of its words where the words are given."""

    task: Literal["token-classification"]
    words: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of a list column with the words of a text (then there is no `text`)",
        examples=["tokens"],
    )
    aggregation: Literal["simple", "first", "average", "max"] = Field(
        default="simple", description='"simple", "first", "average" or "max"', examples=["simple"]
    )

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        if self.words is not None and self.text:
            problems.append(
                f'words: found "{self.words}" and text = "{self.text}", expected one of the two; remove one'
            )
        return problems

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text, or the words."""
        if self.words is None:
            return super().input_columns
        return (InputColumn(self.words, "list of text", "words"),)


class QuestionAnsweringHead(WindowedHeadSection):
    """The span of a context that answers a question."""

    task: Literal["question-answering"]
    question: NonEmpty = Field(
        default="question", description="the name or dotted path of the column of questions", examples=["question"]
    )
    context: NonEmpty = Field(
        default="context", description="the name or dotted path of the column of contexts", examples=["context"]
    )
    max_answer_tokens: int = Field(
        default=30, ge=1, description="the most tokens of an answer, 1 or more", examples=[30]
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The question and the context."""
        return (InputColumn(self.question, "text", "question"), InputColumn(self.context, "text", "context"))


class MultipleChoiceHead(WindowedHeadSection):
    """Which of several texts goes best with a prompt."""

    task: Literal["multiple-choice"]
    prompt: NonEmpty = Field(
        default="prompt", description="the name or dotted path of the column of prompts", examples=["prompt"]
    )
    choices: (
        NonEmpty | Annotated[tuple[NonEmpty, ...], Field(min_length=2), AfterValidator(_distinct), FromList]
    ) = Field(
        default="choices",
        description="the name or dotted path of a list column, or a list of two or more text columns, each once",
        examples=[["choice1", "choice2"]],
    )

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The prompt, then the list column or the text columns of the choices."""
        prompt = InputColumn(self.prompt, "text", "prompt")
        if isinstance(self.choices, str):
            return (prompt, InputColumn(self.choices, "list of text", "choices"))
        return (prompt, *(InputColumn(choice, "text", "choices") for choice in self.choices))


class EmbeddingHead(TextHeadSection):
    """One vector a text, or one a token."""

    task: Literal["embedding"]
    pooling: Literal["mean", "cls", "max", "pooler"] = Field(
        default="mean", description='"mean", "cls", "max" or "pooler"', examples=["mean"]
    )
    normalize: bool = Field(default=True, description="true (vectors of length 1) or false", examples=[True])
    level: Literal["sentence", "token"] = Field(
        default="sentence", description='"sentence" or "token"', examples=["sentence"]
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="the leading dimensions to keep, 1 or more and no more than the model has",
        examples=[256],
    )
    dtype: Literal["float32", "float16", "int8", "ubinary"] = Field(
        default="float32", description='"float32", "float16", "int8" or "ubinary"', examples=["float16"]
    )

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        if self.level == "token" and "pooling" in self.model_fields_set:
            problems.append(
                f'pooling: found "{self.pooling}", expected none where level is token, as every token keeps its '
                "vector; remove it"
            )
        if self.dtype == "int8" and not self.normalize:
            problems.append(
                'dtype: found "int8" and normalize = false, expected vectors of length 1, whose numbers lie '
                'between -1 and 1; write normalize = true, or dtype = "float16"'
            )
        if self.dtype == "ubinary" and (self.dimensions or 8) % 8:
            problems.append(
                f"dimensions: found {self.dimensions}, expected a multiple of 8 where dtype is ubinary, which "
                "packs 8 dimensions in a byte; write for example dimensions = 256"
            )
        return problems

    def num_dimensions(self, hidden_size: int) -> int:
        """Dimensions of a vector over a trunk of this width, before bits are packed.

        Raises:
            ValueError: `dimensions` or `dtype` does not fit the trunk; the message begins with its name.
        """
        if self.dimensions is not None and self.dimensions > hidden_size:
            raise ValueError(
                f"dimensions: found {self.dimensions}, expected at most the model's hidden_size, {hidden_size}; "
                "write less, or leave it out"
            )
        num_dimensions = self.dimensions or hidden_size
        if self.dtype == "ubinary" and num_dimensions % 8:
            raise ValueError(
                f'dtype: found "ubinary", expected a multiple of 8 dimensions for it, and the model has '
                f"{num_dimensions}; set dimensions to a multiple of 8"
            )
        return num_dimensions


class ZeroShotHead(TextHeadSection):
    """Which of some labels a text is about, by a head for natural language inference."""

    task: Literal["zero-shot-classification"]
    labels: (
        Annotated[
            tuple[Annotated[str, StringConstraints(pattern=r"\S")], ...],
            Field(min_length=1),
            AfterValidator(_distinct),
            FromList,
        ]
        | None
    ) = Field(
        default=None,
        description="a list of labels, at least one, none blank, each once",
        examples=[["sports", "politics"]],
    )
    labels_column: NonEmpty | None = Field(
        default=None,
        description="the name or dotted path of a list column with the labels of a row",
        examples=["labels"],
    )
    hypothesis_template: Annotated[str, AfterValidator(_one_blank)] = Field(
        default="This example is {}.",
        description="a sentence with one {} in the place of the label",
        examples=["This text is about {}."],
    )
    multi_label: bool = Field(
        default=False,
        description="true (each label is judged alone) or false (the scores sum to 1)",
        examples=[True],
    )

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        if self.labels is None and self.labels_column is None:
            problems.append(
                "labels: is missing, expected it or labels_column; add for example "
                'labels = ["sports", "politics"], or labels_column = "labels"'
            )
        if self.labels is not None and self.labels_column is not None:
            problems.append(
                f'labels_column: found "{self.labels_column}" and labels, expected one of the two; remove one'
            )
        return problems

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The text, and the labels where they come from a column."""
        if self.labels_column is None:
            return super().input_columns
        return (*super().input_columns, InputColumn(self.labels_column, "list of text", "labels_column"))


HeadConfig = Annotated[
    TextClassificationHead
    | TokenClassificationHead
    | QuestionAnsweringHead
    | MultipleChoiceHead
    | EmbeddingHead
    | FillMaskHead
    | MaskedLMLossHead
    | CausalLMLossHead
    | TextGenerationHead
    | ZeroShotHead,
    Field(discriminator="task"),
]

HEAD_SECTIONS: dict[str, type[HeadSection]] = {
    "text-classification": TextClassificationHead,
    "token-classification": TokenClassificationHead,
    "question-answering": QuestionAnsweringHead,
    "multiple-choice": MultipleChoiceHead,
    "embedding": EmbeddingHead,
    "fill-mask": FillMaskHead,
    "masked-lm-loss": MaskedLMLossHead,
    "causal-lm-loss": CausalLMLossHead,
    "text-generation": TextGenerationHead,
    "zero-shot-classification": ZeroShotHead,
}
"""The class of each task's options, by task."""
