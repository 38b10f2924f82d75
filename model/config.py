"""Configuration of XLM-RoBERTa-XL, reading and writing Hugging Face `config.json`."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import torch

from model.checkpoints.hub import CONFIG_FILE, config_directory
from model.checkpoints.weight_files import describe_contents

MODEL_TYPE = "xlm-roberta-xl"
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

Activation = Callable[[torch.Tensor], torch.Tensor]


class XLMRobertaXLConfig:
    """Geometry and options of a model; the defaults are those of `facebook/xlm-roberta-xl` (3.5B).

    Arguments and defaults are those of `XLMRobertaXLConfig` in Transformers 4.26, with the inherited ones
    that the classes obey. A configuration can be changed after it is made (`config.is_decoder = True`), and
    `validate` is called again wherever a model is built from it. Keys that are not known are kept as
    attributes and written back by `to_dict`.

    Raises:
        ValueError: a value that no model can be built from; the message names the field.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        vocab_size: int = 250880,
        hidden_size: int = 2560,
        num_hidden_layers: int = 36,
        num_attention_heads: int = 32,
        intermediate_size: int = 10240,
        hidden_act: str | Activation = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 514,
        type_vocab_size: int = 1,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-05,
        pad_token_id: int = 1,
        bos_token_id: int = 0,
        eos_token_id: int = 2,
        position_embedding_type: str = "absolute",
        use_cache: bool = True,
        classifier_dropout: float | None = None,
        *,
        num_labels: int | None = None,
        id2label: Mapping[Any, str] | None = None,
        label2id: Mapping[str, Any] | None = None,
        problem_type: str | None = None,
        is_decoder: bool = False,
        add_cross_attention: bool = False,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        return_dict: bool = True,
        tie_word_embeddings: bool = True,
        chunk_size_feed_forward: int = 0,
        pruned_heads: Mapping[Any, list[int]] | None = None,
        torch_dtype: str | torch.dtype | None = None,
        **extra: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        self.pad_token_id = pad_token_id
        self.bos_token_id = bos_token_id
        self.eos_token_id = eos_token_id
        self.position_embedding_type = position_embedding_type
        self.use_cache = use_cache
        self.classifier_dropout = classifier_dropout
        self.problem_type = problem_type
        self.is_decoder = is_decoder
        self.add_cross_attention = add_cross_attention
        self.output_attentions = output_attentions
        self.output_hidden_states = output_hidden_states
        self.return_dict = return_dict
        self.tie_word_embeddings = tie_word_embeddings
        self.chunk_size_feed_forward = chunk_size_feed_forward
        self.pruned_heads = {int(i): list(heads) for i, heads in (pruned_heads or {}).items()}
        # `dtype` is the name that newer configurations use for the same thing.
        self.torch_dtype = dtype_name(torch_dtype if torch_dtype is not None else extra.pop("dtype", None))
        self._set_labels(num_labels, id2label, label2id)
        for key, value in extra.items():
            if key != "model_type":
                setattr(self, key, value)
        self.validate()

    def _set_labels(
        self,
        num_labels: int | None,
        id2label: Mapping[Any, str] | None,
        label2id: Mapping[str, Any] | None,
    ) -> None:
        if id2label is None:
            self.num_labels = 2 if num_labels is None else num_labels
            return
        self.id2label = {int(i): label for i, label in id2label.items()}
        self.label2id = {label: int(i) for label, i in (label2id or {}).items()}
        if num_labels is not None and num_labels != len(self.id2label):
            self.num_labels = num_labels

    @property
    def num_labels(self) -> int:
        """Number of outputs of a classification head: the length of `id2label`."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, num_labels: int) -> None:
        if "id2label" not in vars(self) or len(self.id2label) != num_labels:
            self.id2label = {i: f"LABEL_{i}" for i in range(num_labels)}
            self.label2id = {label: i for i, label in self.id2label.items()}

    @property
    def head_size(self) -> int:
        """Width of one attention head: 80 for XL, 128 for XXL."""
        return self.hidden_size // self.num_attention_heads

    @property
    def head_dropout_prob(self) -> float:
        """Dropout of the classification heads: `classifier_dropout`, else `hidden_dropout_prob`."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout

    def kept_heads(self, layer: int) -> list[int]:
        """Numbers of the attention heads of a layer that are not pruned."""
        pruned = set(self.pruned_heads.get(layer, ()))
        return [head for head in range(self.num_attention_heads) if head not in pruned]

    @property
    def max_num_tokens(self) -> int:
        """Longest sequence, in tokens: positions start behind the padding index (512 of 514)."""
        return self.max_position_embeddings - self.pad_token_id - 1

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype that the checkpoint was stored in, where the configuration tells."""
        return None if self.torch_dtype is None else getattr(torch, self.torch_dtype)

    @property
    def use_return_dict(self) -> bool:
        """Whether outputs are objects (True) or plain tuples."""
        return self.return_dict

    def validate(self) -> None:
        """Raise ValueError, naming the field, if no model can be built from these values."""
        for name in _POSITIVE_SIZES:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"config.{name} must be a positive integer, found {value!r}")
        for name in _PROBABILITIES:
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"config.{name} must be at least 0 and less than 1, found {value!r}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"config.hidden_size ({self.hidden_size}) must be a multiple of "
                f"config.num_attention_heads ({self.num_attention_heads})"
            )
        self._validate_choice("position_embedding_type", POSITION_EMBEDDING_TYPES)
        if not callable(self.hidden_act):
            self._validate_choice("hidden_act", HIDDEN_ACTS)
        if self.problem_type is not None:
            self._validate_choice("problem_type", PROBLEM_TYPES)
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(
                f"config.pad_token_id must be in [0, vocab_size={self.vocab_size}), found {self.pad_token_id!r}"
            )
        if self.max_num_tokens < 1:
            raise ValueError(
                f"config.max_position_embeddings ({self.max_position_embeddings}) leaves no position behind "
                f"config.pad_token_id ({self.pad_token_id})"
            )
        self._validate_pruned_heads()
        if self.add_cross_attention and not self.is_decoder:
            raise ValueError("config.add_cross_attention needs config.is_decoder = True, found False")

    def _validate_pruned_heads(self) -> None:
        for layer, heads in self.pruned_heads.items():
            if not 0 <= layer < self.num_hidden_layers:
                raise ValueError(
                    f"config.pruned_heads must name layers in [0, {self.num_hidden_layers}), found {layer}"
                )
            wrong = [head for head in heads if not 0 <= head < self.num_attention_heads]
            if wrong:
                raise ValueError(
                    f"config.pruned_heads must name heads in [0, {self.num_attention_heads}), "
                    f"found {wrong[0]} in layer {layer}"
                )
            if not self.kept_heads(layer):
                raise ValueError(f"config.pruned_heads must leave a head in every layer, found none in {layer}")

    def _validate_choice(self, name: str, choices: tuple[str, ...]) -> None:
        if getattr(self, name) not in choices:
            raise ValueError(f"config.{name} must be one of {', '.join(choices)}; found {getattr(self, name)!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build from the contents of a `config.json`; `overrides` win. Refuses another `model_type`."""
        model_type = values.get("model_type", MODEL_TYPE)
        if model_type != MODEL_TYPE:
            raise ValueError(
                f"model_type must be {MODEL_TYPE!r}, found {model_type!r}, another architecture; name a "
                "checkpoint of XLM-RoBERTa-XL or XXL"
            )
        merged = {**values, **overrides}
        if "num_labels" in overrides and "id2label" not in overrides:
            stored = values.get("id2label")
            if stored is not None and len(stored) != overrides["num_labels"]:
                merged.pop("id2label")
                merged.pop("label2id", None)
        return cls(**merged)

    @classmethod
    def from_pretrained(cls, path: str | Path, *, revision: str | None = None, **overrides: Any) -> Self:
        """Read `config.json` from a directory in Hugging Face layout (or the file itself), or from a hub id."""
        file = Path(path)
        if not file.is_file():
            file = config_directory(path, revision=revision) / CONFIG_FILE
        if not file.is_file():
            raise ValueError(
                f"{file} is not there: a checkpoint directory in Hugging Face layout is expected; "
                f"{describe_contents(file.parent)}"
            )
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file} is not valid JSON: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"{file} must hold a JSON object, found {type(values).__name__}")
        try:
            return cls.from_dict(values, **overrides)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """All values as JSON types, in the form of `config.json`.

        Raises:
            ValueError: `hidden_act` is a callable, which no file can hold.
        """
        if callable(self.hidden_act):
            raise ValueError("config.hidden_act is a callable and cannot be written; use one of its names")
        values = copy.deepcopy(vars(self))
        values["id2label"] = {str(i): label for i, label in self.id2label.items()}
        values["pruned_heads"] = {str(i): heads for i, heads in self.pruned_heads.items()}
        return {"model_type": MODEL_TYPE, **values}

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` into `directory`, which is made if it is not there."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False)
        (directory / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")

    def copy(self, **changes: Any) -> Self:
        """An independent copy with some values changed."""
        values = copy.deepcopy(vars(self))
        if "num_labels" in changes and changes["num_labels"] != self.num_labels:
            del values["id2label"], values["label2id"]
        return type(self)(**{**values, **changes})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XLMRobertaXLConfig) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"XLMRobertaXLConfig({arguments})"


def dtype_name(dtype: str | torch.dtype | None) -> str | None:
    """`torch.bfloat16`, "torch.bfloat16" and "bfloat16" are one thing in a `config.json`: "bfloat16"."""
    if dtype is None or dtype == "auto":
        return None
    name = str(dtype).removeprefix("torch.")
    if not isinstance(getattr(torch, name, None), torch.dtype):
        raise ValueError(f"config.torch_dtype must name a torch dtype such as bfloat16, found {dtype!r}")
    return name
