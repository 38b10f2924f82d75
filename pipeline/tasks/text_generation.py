"""Text generation: continue a prompt by greedy decoding, sampling or beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from pipeline.tasks.contract import HeadMemory, OrderedHeadOutput, Prompts, SequenceSpec, Task, place_rows
from pipeline.tasks.language_modeling import lm_head_layers, lm_head_of
from pipeline.tasks.sections import HeadSection, InputColumn, NonEmpty

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLForCausalLM, XLMRobertaXLTokenizer

_COLUMN_TYPE = pa.struct({"text": pa.string(), "num_tokens": pa.int32()})


class TextGenerationHead(HeadSection):
    """The continuation of a prompt; sampled if `temperature` is over 0."""

    task: Literal["text-generation"]
    text: NonEmpty = Field(
        default="",
        description="the name or dotted path of the column of prompts. Without it, the column that `input.text` "
        "names. A prompt that leaves no room for the new tokens loses its beginning.",
        examples=["prompt"],
    )
    max_new_tokens: int = Field(
        default=64,
        ge=1,
        description="the most tokens to add, 1 or more. An end token ends the text earlier.",
        examples=[32],
    )
    temperature: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="0 (always the likeliest token), or more, which draws tokens",
        examples=[0.7],
    )
    top_k: int | None = Field(
        default=None,
        ge=1,
        description="from how many of the likeliest tokens to draw, 1 or more. Without it, from all. Needs a "
        "temperature above 0.",
        examples=[50],
    )
    top_p: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="from how much probability of the likeliest tokens to draw, more than 0 and at most 1. "
        "Without it, from all. Needs a temperature above 0.",
        examples=[0.9],
    )
    num_beams: int = Field(
        default=1,
        ge=1,
        description="the beams of a beam search, 1 or more. 1 is no beam search; more need temperature = 0.",
        examples=[4],
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="a whole number, 0 or more. It decides, with the place of a row in its file, which tokens are "
        "drawn.",
        examples=[1],
    )

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


def _sequence_spec(options: TextGenerationHead, max_num_tokens: int) -> SequenceSpec:
    room = max_num_tokens - options.max_new_tokens
    if room < 2:
        raise ValueError(
            f"max_new_tokens: found {options.max_new_tokens}, expected at most {max_num_tokens - 2}, so that a "
            "prompt fits before them; lower it"
        )
    return SequenceSpec("prompt", (options.text,), room, truncate=True)


def _generate(options: TextGenerationHead, prompts: Prompts) -> tuple[Tensor, ...]:
    """Continuations `[n, max_new_tokens]`, padded; the length of each; whether all of its logits were finite."""
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    from model.generation.logits_watch import LogitsWatch  # noqa: PLC0415
    from model.generation.options import GenerationOptions  # noqa: PLC0415

    pad = prompts.config.padding_id
    ends = GenerationOptions().ends(prompts.config) or [pad]
    input_ids = nn.utils.rnn.pad_sequence(prompts.token_ids, batch_first=True, padding_value=pad)
    input_ids = input_ids.to(prompts.device)
    lengths = torch.tensor([len(prompt) for prompt in prompts.token_ids], device=input_ids.device)
    watch = LogitsWatch(prompts.num_usable_tokens, ends[0])
    output = _causal_model(prompts).generate(
        input_ids,
        torch.arange(input_ids.shape[1], device=input_ids.device) < lengths[:, None],
        seed=prompts.seed,
        process_logits=watch,
        max_new_tokens=options.max_new_tokens,
        num_usable_tokens=prompts.num_usable_tokens,
        **generation_options(options),
    )
    new_ids = output[:, input_ids.shape[1] :]
    new_ids = nn.functional.pad(new_ids, (0, options.max_new_tokens - new_ids.shape[1]), value=pad)
    is_end = torch.isin(new_ids, torch.tensor([*ends, pad], device=new_ids.device))
    num_tokens = is_end.int().cummax(dim=1).values.eq(0).sum(dim=1)
    return new_ids, num_tokens, watch.is_finite(num_tokens, options.num_beams)


def _causal_model(prompts: Prompts) -> XLMRobertaXLForCausalLM:
    """The trunk and the head as one model that shares their weights."""
    import torch  # noqa: PLC0415

    from model import XLMRobertaXLForCausalLM  # noqa: PLC0415

    with torch.device("meta"):
        model = XLMRobertaXLForCausalLM(prompts.trunk.config, group=prompts.group)
    model.roberta, model.lm_head = prompts.trunk, lm_head_of(prompts.modules)
    return model.eval()


def generation_options(options: TextGenerationHead) -> dict[str, Any]:
    """Arguments of `generate`: sampling if a temperature is set, else greedy or beam search."""
    if options.temperature:
        return {
            "do_sample": True,
            "temperature": options.temperature,
            "top_k": options.top_k,
            "top_p": 1.0 if options.top_p is None else options.top_p,
        }
    return {"num_beams": options.num_beams}


def _decode(options: TextGenerationHead, output: OrderedHeadOutput) -> pa.Array:
    token_ids, num_tokens, _ = output.values
    return place_rows(generation_column(token_ids, num_tokens, output.tokenizer), output.row, output.num_rows)


def generation_column(
    token_ids: NDArray[np.generic], num_tokens: NDArray[np.generic], tokenizer: XLMRobertaXLTokenizer
) -> pa.StructArray:
    """`struct<text: string, num_tokens: int32>`: the first `num_tokens[i]` of `token_ids[i]`, decoded."""
    rows = [ids[:count].tolist() for ids, count in zip(token_ids, num_tokens.tolist(), strict=True)]
    texts = pa.array([tokenizer.decode(ids, skip_special_tokens=True) for ids in rows], pa.string())
    return pa.StructArray.from_arrays([texts, pa.array(num_tokens.astype(np.int32))], ["text", "num_tokens"])


TASK = Task(
    name="text-generation",
    options=TextGenerationHead,
    output_type=lambda *_: _COLUMN_TYPE,
    sequence_spec=_sequence_spec,
    layers=lm_head_layers,
    generate=_generate,
    decode=_decode,
    seed=lambda options: options.seed,
    memory=lambda options: HeadMemory(max_new_tokens=options.max_new_tokens, num_beams=options.num_beams),
    is_causal=True,
)
