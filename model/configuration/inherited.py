"""The attributes that every configuration of Transformers inherits, and which of them `config.json` omits."""

from collections.abc import Mapping
from typing import Any

# `PretrainedConfig()` of Transformers 4.46. Those that this architecture does not use, and those of text
# generation, are kept and written, but have no effect.
INHERITED_DEFAULTS: Mapping[str, Any] = {
    "_name_or_path": "",
    "add_cross_attention": False,
    "architectures": None,
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "bos_token_id": None,
    "chunk_size_feed_forward": 0,
    "cross_attention_hidden_size": None,
    "decoder_start_token_id": None,
    "diversity_penalty": 0.0,
    "do_sample": False,
    "early_stopping": False,
    "encoder_no_repeat_ngram_size": 0,
    "eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "finetuning_task": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "id2label": {0: "LABEL_0", 1: "LABEL_1"},
    "is_decoder": False,
    "is_encoder_decoder": False,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
    "length_penalty": 1.0,
    "max_length": 20,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "pad_token_id": None,
    "prefix": None,
    "problem_type": None,
    "pruned_heads": {},
    "remove_invalid_values": False,
    "repetition_penalty": 1.0,
    "return_dict": True,
    "return_dict_in_generate": False,
    "sep_token_id": None,
    "suppress_tokens": None,
    "task_specific_params": None,
    "temperature": 1.0,
    "tf_legacy_loss": False,
    "tie_encoder_decoder": False,
    "tie_word_embeddings": True,
    "tokenizer_class": None,
    "top_k": 50,
    "top_p": 1.0,
    "torch_dtype": None,
    "torchscript": False,
    "typical_p": 1.0,
    "use_bfloat16": False,
}


def without_defaults(values: Mapping[str, Any], class_defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of `config.json`: the values of the architecture, and inherited ones that are not defaults.

    Args:
        values: all values of a configuration.
        class_defaults: the values of a configuration without arguments.
    """
    return {
        name: value
        for name, value in values.items()
        if name not in INHERITED_DEFAULTS
        or value != INHERITED_DEFAULTS[name]
        or (name in class_defaults and value != class_defaults[name])
    }


def relabelled(values: dict[str, Any], num_labels: int | None, *, has_names: bool) -> dict[str, Any]:
    """Drop the label names if another number of labels is asked for without new names.

    Raises:
        ValueError: the number differs from that of the new names.
    """
    names = values.get("id2label")
    if num_labels is None or names is None or len(names) == num_labels:
        return values
    if has_names:
        raise ValueError(f"num_labels must be the length of id2label, {len(names)}, found {num_labels}")
    return {name: value for name, value in values.items() if name not in ("id2label", "label2id")}
