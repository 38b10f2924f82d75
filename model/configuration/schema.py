"""The types of the fields of `config.json` that have an effect, as one table.

Other fields, and keys of other versions, are kept as they are, as in Transformers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.checkpoints.json_files import shown

MODEL_TYPE = "xlm-roberta-xl"
# Far above all models there are. Numbers of layers and heads are looped over; widths are multiplied by each other,
# and tensors of that size are made on the meta device before any weights are read.
MAX_WIDTH = 2**28
MAX_COUNT = 2**10
MAX_NUM_LABELS = 2**20
_SETTABLE_PROPERTIES = ("dtype", "name_or_path", "num_labels", "torch_dtype")
_MAX_NUMBER = 1e300
_MAX_TOKEN_ID = 2**31 - 1


@dataclass(frozen=True)
class FieldType:
    """What a field must be, in words and as a test."""

    expected: str
    accepts: Callable[[Any], bool]


def is_integer(value: object) -> bool:
    """Whether this is an integer and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    """Whether this is an integer or float, finite and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER


def _is_token_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_TOKEN_ID


def _is_list_of_token_ids(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_token_id, value))


def _up_to(maximum: int) -> FieldType:
    expected = f"a positive integer up to {maximum}"
    return FieldType(expected, lambda value: is_integer(value) and 1 <= value <= maximum)


_WIDTH = _up_to(MAX_WIDTH)
_COUNT = _up_to(MAX_COUNT)
_BOOLEAN = FieldType("true or false", lambda value: isinstance(value, bool))
_NOT_NEGATIVE = FieldType("a finite number of at least 0", lambda value: _is_number(value) and value >= 0)
_PROBABILITY = FieldType("at least 0 and less than 1", lambda value: _is_number(value) and 0 <= value < 1)
_TOKEN_ID = FieldType("a token id or null", lambda value: value is None or _is_token_id(value))

FIELD_TYPES: Mapping[str, FieldType] = {
    **dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size"), _WIDTH),
    **dict.fromkeys(("max_position_embeddings", "type_vocab_size"), _WIDTH),
    **dict.fromkeys(("num_hidden_layers", "num_attention_heads"), _COUNT),
    **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), _PROBABILITY),
    "classifier_dropout": FieldType(
        f"{_PROBABILITY.expected}, or null", lambda value: value is None or _PROBABILITY.accepts(value)
    ),
    **dict.fromkeys(("initializer_range", "layer_norm_eps"), _NOT_NEGATIVE),
    **dict.fromkeys(("pad_token_id", "bos_token_id"), _TOKEN_ID),
    "eos_token_id": FieldType(
        "a token id, a list of them or null",
        lambda value: _TOKEN_ID.accepts(value) or _is_list_of_token_ids(value),
    ),
    **dict.fromkeys(("use_cache", "is_decoder", "add_cross_attention", "tie_word_embeddings"), _BOOLEAN),
    **dict.fromkeys(("output_attentions", "output_hidden_states", "return_dict", "torchscript"), _BOOLEAN),
}


def refuse_wrong_types(values: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, if one of `values` is not of its type or out of its bounds."""
    for name, field_type in FIELD_TYPES.items():
        if not field_type.accepts(values[name]):
            raise ValueError(f"config.{name} must be {field_type.expected}, found {shown(values[name])}")


def refuse_other_architecture(model_type: object) -> None:
    """Raise ValueError unless `model_type` is that of XLM-RoBERTa-XL."""
    if model_type != MODEL_TYPE:
        raise ValueError(
            f"model_type must be {MODEL_TYPE!r}, found {shown(model_type)}, another architecture; name a "
            "checkpoint of XLM-RoBERTa-XL or XXL"
        )


def refuse_reserved_names(names: Mapping[str, Any], config_class: type) -> None:
    """Raise ValueError for keys that would hide a method or computed property of the configuration."""
    for name in names:
        attribute = getattr(config_class, name, None)
        is_taken = (
            callable(attribute) or isinstance(attribute, property) or name.startswith("__") or name == "self"
        )
        if is_taken and name not in _SETTABLE_PROPERTIES:
            raise ValueError(f"config.{name} is a method or computed value of the configuration; delete this key")
