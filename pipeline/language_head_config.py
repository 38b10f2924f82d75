"""The options of heads that predict tokens: `fill-mask`, the losses and `text-generation`."""

from typing import Literal

from pydantic import Field

from pipeline.tasks.sections import HeadSection, InputColumn, NonEmpty, TextHeadSection


class FillMaskHead(TextHeadSection):
    """The likeliest tokens at each `<mask>` of a text."""

    task: Literal["fill-mask"]
    top_k: int = Field(default=5, ge=1, description="how many tokens a mask, 1 or more", examples=[5])


class MaskedLMLossHead(TextHeadSection):
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


class CausalLMLossHead(TextHeadSection):
    """Negative log-likelihood of each token after those before it, in nats."""

    task: Literal["causal-lm-loss"]


class TextGenerationHead(HeadSection):
    """Text that goes on from a prompt: the likeliest, unless `temperature` asks for a draw."""

    task: Literal["text-generation"]
    text: NonEmpty = Field(
        default="", description="the name or dotted path of the column of prompts", examples=["text"]
    )
    max_new_tokens: int = Field(default=64, ge=1, description="the most tokens to add, 1 or more", examples=[64])
    temperature: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="0 (always the likeliest token), or more, which draws tokens",
        examples=[0.7],
    )
    top_k: int | None = Field(
        default=None, ge=1, description="from how many of the likeliest tokens to draw, 1 or more", examples=[50]
    )
    top_p: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="from how much probability of the likeliest tokens to draw, more than 0 and at most 1",
        examples=[0.9],
    )
    num_beams: int = Field(default=1, ge=1, description="the beams of a beam search, 1 or more", examples=[4])
    seed: int = Field(default=0, ge=0, description="a whole number, 0 or more", examples=[0])

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        if self.temperature == 0:
            given = {"top_k": self.top_k, "top_p": self.top_p}
            problems += [
                f"{name}: found {value}, expected none where temperature is 0, as no token is drawn; set "
                f"temperature, for example to 1.0, or remove {name}"
                for name, value in given.items()
                if value is not None
            ]
        elif self.num_beams > 1:
            problems.append(
                f"num_beams: found {self.num_beams}, expected 1 where temperature is over 0, as beams are "
                "searched and not drawn; remove one of the two"
            )
        return problems

    @property
    def input_columns(self) -> tuple[InputColumn, ...]:
        """The prompt."""
        return (InputColumn(self.text, "text", "text"),)
