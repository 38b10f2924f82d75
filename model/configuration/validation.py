"""Validate a configuration: refuse values that no model can be built from."""

from collections.abc import Mapping
from typing import Any

from model.checkpoints.json_files import shown
from model.configuration.schema import refuse_wrong_types

POSITION_EMBEDDING_TYPES = ("absolute", "relative_key", "relative_key_query")
HIDDEN_ACTS = ("gelu", "relu", "silu", "gelu_new")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def refuse_wrong_values(values: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, if no model can be built from the attributes of a configuration."""
    refuse_wrong_types(values)
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
    # Layer -1 is the last, which may also be given by its index.
    pruned: dict[int, set[int]] = {}
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
        pruned.setdefault(layer % num_layers, set()).update(heads)
        if len(pruned[layer % num_layers]) >= num_heads:
            raise ValueError(f"config.pruned_heads must leave a head in every layer, found none in {layer}")


def _refuse_other_choice(values: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> None:
    if values[name] not in choices:
        raise ValueError(f"config.{name} must be one of {', '.join(choices)}; found {shown(values[name])}")
