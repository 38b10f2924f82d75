"""Every public name of Transformers' model, configuration and tokenizer is here, or in a list of model/README.md.

Arguments by place are compared in the order of Transformers 4.26: what newer versions put between comes by name.
"""

import inspect
from pathlib import Path
from typing import Any

import pytest
import transformers
from torch import nn

from model import XLMRobertaXLConfig, XLMRobertaXLForCausalLM, XLMRobertaXLForMaskedLM, XLMRobertaXLTokenizer

README = Path(__file__).resolve().parents[2] / "model" / "README.md"
PAIRS: dict[str, tuple[type, type]] = {
    "model": (XLMRobertaXLForMaskedLM, transformers.XLMRobertaXLForMaskedLM),
    "configuration": (XLMRobertaXLConfig, transformers.XLMRobertaXLConfig),
    "tokenizer": (XLMRobertaXLTokenizer, transformers.XLMRobertaTokenizerFast),
}
# Names that the documentation of 4.26 lists, and that are left out.
LEFT_OUT = {
    "model": {
        "add_memory_hooks", "create_extended_attention_mask_for_decoder", "get_extended_attention_mask",
        "get_head_mask", "get_position_embeddings", "init_weights", "invert_attention_mask", "post_init",
        "push_to_hub", "register_for_auto_class", "reset_memory_hooks_state", "resize_position_embeddings",
        "retrieve_modules_from_names",
    },
    "configuration": {"dict_torch_dtype_to_str", "push_to_hub", "register_for_auto_class"},
    "tokenizer": {
        "added_tokens_decoder", "all_special_tokens_extended", "as_target_tokenizer", "backend_tokenizer",
        "can_save_slow_tokenizer", "convert_added_tokens", "decoder", "prepare_for_model", "prepare_seq2seq_batch",
        "pretrained_vocab_files_map", "push_to_hub", "register_for_auto_class", "sanitize_special_tokens",
        "set_truncation_and_padding", "slow_tokenizer_class", "special_tokens_map_extended",
        "train_new_from_iterator", "truncate_sequences",
    },
}  # fmt: skip
# Names that came after 4.26, and those of `generate`, whose options are listed in model/generation/options.py.
NEWER = {
    "model": {
        "active_adapter", "active_adapters", "add_adapter", "add_model_tags", "dequantize", "disable_adapters",
        "enable_adapters", "get_adapter_state_dict", "load_adapter", "loss_function",
        "reverse_bettertransformer", "set_adapter", "to_bettertransformer",
        "warn_if_padding_and_no_attention_mask", "compute_transition_scores", "generate", "heal_tokens",
        "prepare_inputs_for_generation",
    },
    "configuration": {"get_text_config"},
    "tokenizer": {"apply_chat_template", "get_chat_template"},
}  # fmt: skip
NEWER_ARGUMENTS = {
    "padding_side", "split_special_tokens", "mean_resizing", "gradient_checkpointing_kwargs", "token",
    "save_peft_format", "use_safetensors", "weights_only", "trust_remote_code",
}  # fmt: skip


def public_names(cls: type) -> set[str]:
    """Names that a class adds to those of torch."""
    return {
        name
        for name in dir(cls)
        if not name.startswith("_") and getattr(nn.Module, name, None) is not getattr(cls, name)
    }


@pytest.mark.parametrize("kind", PAIRS)
def test_every_name_is_there_or_left_out_on_purpose(kind: str) -> None:
    ours, theirs = PAIRS[kind]
    missing = {name for name in public_names(theirs) if not hasattr(ours, name)}
    assert missing == LEFT_OUT[kind] | NEWER[kind]


@pytest.mark.parametrize("kind", PAIRS)
def test_the_readme_lists_what_is_left_out(kind: str) -> None:
    text = README.read_text(encoding="utf-8")
    for name in LEFT_OUT[kind]:
        assert f"`{name}`" in text, name


def by_place(function: Any) -> list[str]:
    """Names of the arguments that can be given by place."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.name not in ("self", *NEWER_ARGUMENTS)]


METHODS = [
    (kind, name)
    for kind, (ours, theirs) in PAIRS.items()
    for name in sorted(public_names(theirs) | {"__call__"})
    if hasattr(ours, name) and inspect.isroutine(getattr(theirs, name)) and name not in ("cuda", "to")
    if inspect.isroutine(inspect.getattr_static(theirs, name))
    or isinstance(inspect.getattr_static(theirs, name), classmethod | staticmethod)
]


@pytest.mark.parametrize(("kind", "name"), METHODS, ids=[".".join(pair) for pair in METHODS])
def test_arguments_have_the_same_names_and_places(kind: str, name: str) -> None:
    ours, theirs = PAIRS[kind]
    found, expected = by_place(getattr(ours, name)), by_place(getattr(theirs, name))
    if name in ("encode_plus", "batch_encode_plus"):  # these take what is returned by name
        assert found[-1] == "return_tensors"
        expected = expected[: len(found)]
    assert found == expected


@pytest.mark.parametrize("name", ["encode", "encode_plus", "batch_encode_plus"])
def test_arguments_by_name_are_those_of_a_call(name: str) -> None:
    """What they do not take by place they hand on, and a call knows it."""
    theirs = inspect.signature(getattr(transformers.XLMRobertaTokenizerFast, name)).parameters
    ours = {
        *inspect.signature(getattr(XLMRobertaXLTokenizer, name)).parameters,
        *inspect.signature(XLMRobertaXLTokenizer.__call__).parameters,
    }
    assert {p for p in theirs if p not in ("kwargs", "split_special_tokens")} <= ours


def test_generation_is_that_of_the_causal_model() -> None:
    assert XLMRobertaXLForCausalLM.can_generate()
    assert not XLMRobertaXLForMaskedLM.can_generate()
