"""Validate a configuration: refuse values that no model can be built from."""

from collections.abc import Mapping
from typing import Any

POSITION_EMBEDDING_TYPES = ("absolute", "relative_key", "relative_key_query")
HIDDEN_ACTS = ("gelu", "relu", "silu", "gelu_new")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
_POSITIVE_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")


def refuse_wrong_values(values: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, if no model can be built from the attributes of a configuration."""
    for name in _POSITIVE_SIZES:
        if not isinstance(values[name], int) or values[name] < 1:
            raise ValueError(f"config.{name} must be a positive integer, found {values[name]!r}")
    for name in _PROBABILITIES:
        if values[name] is not None and not 0 <= values[name] < 1:
            raise ValueError(f"config.{name} must be at least 0 and less than 1, found {values[name]!r}")
    if values["hidden_size"] % values["num_attention_heads"]:
        raise ValueError(
            f"config.hidden_size ({values['hidden_size']}) must be a multiple of "
            f"config.num_attention_heads ({values['num_attention_heads']})"
        )
    _refuse_other_choice(values, "position_embedding_type", POSITION_EMBEDDING_TYPES)
    if not callable(values["hidden_act"]):
        _refuse_other_choice(values, "hidden_act", HIDDEN_ACTS)
    if values["problem_type"] is not None:
        _refuse_other_choice(values, "problem_type", PROBLEM_TYPES)
    if values["pad_token_id"] is not None:
        _refuse_wrong_padding(values)
    _refuse_wrong_pruned_heads(values)
    if values["add_cross_attention"] and not values["is_decoder"]:
        raise ValueError("config.add_cross_attention needs config.is_decoder = True, found False")


def _refuse_wrong_padding(values: Mapping[str, Any]) -> None:
    if not 0 <= values["pad_token_id"] < values["vocab_size"]:
        raise ValueError(
            f"config.pad_token_id must be in [0, vocab_size={values['vocab_size']}), "
            f"found {values['pad_token_id']!r}"
        )
    if values["max_position_embeddings"] <= values["pad_token_id"] + 1:
        raise ValueError(
            f"config.max_position_embeddings ({values['max_position_embeddings']}) leaves no position behind "
            f"config.pad_token_id ({values['pad_token_id']})"
        )


def _refuse_wrong_pruned_heads(values: Mapping[str, Any]) -> None:
    num_layers, num_heads = values["num_hidden_layers"], values["num_attention_heads"]
    for layer, heads in values["pruned_heads"].items():
        if not -num_layers <= layer < num_layers:
            raise ValueError(
                f"config.pruned_heads must name layers in [{-num_layers}, {num_layers}), found {layer}"
            )
        wrong = [head for head in heads if not 0 <= head < num_heads]
        if wrong:
            raise ValueError(
                f"config.pruned_heads must name heads in [0, {num_heads}), found {wrong[0]} in layer {layer}"
            )
        # Layer -1 is the last, which may also be given by its index.
        same = (i for i in values["pruned_heads"] if (i - layer) % num_layers == 0)
        if len({head for i in same for head in values["pruned_heads"][i]}) >= num_heads:
            raise ValueError(f"config.pruned_heads must leave a head in every layer, found none in {layer}")


def _refuse_other_choice(values: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> None:
    if values[name] not in choices:
        raise ValueError(f"config.{name} must be one of {', '.join(choices)}; found {values[name]!r}")
