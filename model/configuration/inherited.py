"""The attributes that every configuration of Transformers inherits, and which of them `config.json` omits."""

from collections.abc import Mapping, Sequence
from typing import Any

# `PretrainedConfig()` of Transformers 4.46. Those that this architecture does not use, and those of text
# generation, are kept and written, but have no effect.
_NAMES_BY_DEFAULT: Sequence[tuple[Any, str]] = (
    (
        None,
        "architectures bad_words_ids begin_suppress_tokens bos_token_id cross_attention_hidden_size "
        "decoder_start_token_id eos_token_id exponential_decay_length_penalty finetuning_task "
        "forced_bos_token_id forced_eos_token_id pad_token_id prefix problem_type sep_token_id "
        "suppress_tokens task_specific_params tokenizer_class torch_dtype",
    ),
    (
        False,
        "add_cross_attention do_sample early_stopping is_decoder is_encoder_decoder output_attentions "
        "output_hidden_states output_scores remove_invalid_values return_dict_in_generate tf_legacy_loss "
        "tie_encoder_decoder torchscript use_bfloat16",
    ),
    (True, "return_dict tie_word_embeddings"),
    (0, "chunk_size_feed_forward encoder_no_repeat_ngram_size min_length no_repeat_ngram_size"),
    (1, "num_beam_groups num_beams num_return_sequences"),
    (1.0, "length_penalty repetition_penalty temperature top_p typical_p"),
)
_DEFAULTS: Mapping[str, Any] = {
    **{name: default for default, names in _NAMES_BY_DEFAULT for name in names.split()},
    "_name_or_path": "",
    "diversity_penalty": 0.0,
    "id2label": {0: "LABEL_0", 1: "LABEL_1"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
    "max_length": 20,
    "pruned_heads": {},
    "top_k": 50,
}
INHERITED_DEFAULTS = dict(sorted(_DEFAULTS.items()))


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

    Raises ValueError: the number differs from that of the new names.
    """
    names = values.get("id2label")
    if num_labels is None or names is None or len(names) == num_labels:
        return values
    if has_names:
        raise ValueError(f"num_labels must be the length of id2label, {len(names)}, found {num_labels}")
    return {name: value for name, value in values.items() if name not in ("id2label", "label2id")}
