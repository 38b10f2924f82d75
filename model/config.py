"""The configuration of XLM-RoBERTa-XL, read from and written to Hugging Face `config.json`."""

import copy
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from model.checkpoints.hub import CONFIG_FILE, HubOptions, split_hub_options
from model.checkpoints.json_files import shown
from model.checkpoints.loading_options import without_neutral_options
from model.configuration.inherited import INHERITED_DEFAULTS, relabelled, without_defaults
from model.configuration.json_form import SECRETS, errors_that_name, find_config_file, read_config_file
from model.configuration.labels import as_id2label, as_label2id, as_num_labels, as_pruned_heads
from model.configuration.parsing import as_dtype, dtype_name, one_dtype, parse_changes
from model.configuration.schema import MODEL_TYPE, refuse_other_architecture, refuse_reserved_names
from model.configuration.validation import refuse_wrong_values

if TYPE_CHECKING:
    import torch

Activation = Callable[["torch.Tensor"], "torch.Tensor"]

logger = logging.getLogger(__name__)


class XLMRobertaXLConfig:
    """Geometry and options of a model; the defaults are those of `facebook/xlm-roberta-xl` (3.5B).

    Arguments and defaults are those of `XLMRobertaXLConfig` in Transformers 4.26, including inherited ones.
    Attributes can be changed afterwards (`config.is_decoder = True`); building a model calls `validate` again.
    Unknown keys are kept as attributes and written back by `to_dict`, except secrets (`token`, `use_auth_token`).

    Raises ValueError: a value that no model can be built from; the message names the field.
    """

    model_type = MODEL_TYPE
    is_composition = False
    attribute_map: Mapping[str, str] = {}
    architectures: list[str] | None
    is_encoder_decoder: bool

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
        pad_token_id: int | None = 1,
        bos_token_id: int | None = 0,
        eos_token_id: int | None = 2,
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
        torchscript: bool = False,
        tie_word_embeddings: bool = True,
        chunk_size_feed_forward: int = 0,
        pruned_heads: Mapping[Any, list[int]] | None = None,
        torch_dtype: "str | torch.dtype | None" = None,
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
        self.torchscript = torchscript
        self.tie_word_embeddings = tie_word_embeddings
        self.chunk_size_feed_forward = chunk_size_feed_forward
        self.pruned_heads = as_pruned_heads(pruned_heads)
        self.torch_dtype = one_dtype(torch_dtype, extra.pop("dtype", None))
        self._set_labels(num_labels, id2label, label2id)
        for key, default in INHERITED_DEFAULTS.items():
            if key not in vars(self):
                setattr(self, key, copy.copy(default))
        refuse_reserved_names(extra, type(self))
        for key, value in extra.items():
            if key not in ("model_type", *SECRETS):
                setattr(self, key, value)
        self.validate()

    def _set_labels(
        self, num_labels: int | None, id2label: Mapping[Any, str] | None, label2id: Mapping[str, Any] | None
    ) -> None:
        if id2label is None:
            self.num_labels = 2 if num_labels is None else num_labels
            return
        self.id2label = as_id2label(id2label)
        self.label2id = as_label2id(label2id)
        if num_labels is not None and as_num_labels(num_labels) != len(self.id2label):
            names = shown(self.id2label)
            logger.warning("num_labels=%s is not the length of id2label, which counts: %s", num_labels, names)

    @property
    def name_or_path(self) -> str:
        """The argument of the model's `from_pretrained`; "" if it was not called."""
        return self._name_or_path

    @name_or_path.setter
    def name_or_path(self, value: str | Path) -> None:
        self._name_or_path = str(value)

    @property
    def num_labels(self) -> int:
        """Number of outputs of a classification head: the length of `id2label`."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, num_labels: int) -> None:
        if "id2label" not in vars(self) or len(self.id2label) != num_labels:
            self.id2label = {i: f"LABEL_{i}" for i in range(as_num_labels(num_labels))}
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
        """Indices of the heads of a layer that are not pruned; layer -1 is the last, as in `pruned_heads`."""
        same = [i for i in self.pruned_heads if i % self.num_hidden_layers == layer % self.num_hidden_layers]
        pruned = {head for i in same for head in self.pruned_heads[i]}
        return [head for head in range(self.num_attention_heads) if head not in pruned]

    @property
    def padding_id(self) -> int:
        """`pad_token_id`, after which positions start.

        Raises ValueError: it is None, so that positions cannot be counted.
        """
        if self.pad_token_id is None:
            raise ValueError("config.pad_token_id must be set, found None: positions are counted from it")
        return self.pad_token_id

    @property
    def max_num_tokens(self) -> int:
        """Maximum number of tokens of a sequence: positions start after the padding index (512 of 514)."""
        return self.max_position_embeddings - self.padding_id - 1

    @property
    def torch_dtype(self) -> "torch.dtype | None":
        """The dtype of the stored checkpoint, if the configuration has it."""
        return as_dtype(self.dtype_name)

    @torch_dtype.setter
    def torch_dtype(self, value: "str | torch.dtype | None") -> None:
        # Its name is stored: a configuration can be read, and sent to other processes, without torch.
        vars(self)["torch_dtype"] = dtype_name(value)

    @property
    def dtype_name(self) -> str | None:
        """The name of `torch_dtype`."""
        name: str | None = vars(self)["torch_dtype"]
        return name

    @property
    def dtype(self) -> "torch.dtype | None":
        """Another name of `torch_dtype`."""
        return self.torch_dtype

    @property
    def use_return_dict(self) -> bool:
        """Whether outputs are objects (True) or plain tuples."""
        return self.return_dict and not self.torchscript

    def validate(self) -> None:
        """Raise ValueError, naming the field, if no model can be built from these values."""
        refuse_wrong_values(vars(self))

    @overload
    @classmethod
    def from_dict(
        cls, config_dict: Mapping[str, Any], *, return_unused_kwargs: Literal[True], **kwargs: Any
    ) -> tuple[Self, dict[str, Any]]: ...
    @overload
    @classmethod
    def from_dict(
        cls, config_dict: Mapping[str, Any], *, return_unused_kwargs: Literal[False] = ..., **kwargs: Any
    ) -> Self: ...
    @classmethod
    def from_dict(
        cls, config_dict: Mapping[str, Any], *, return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Build from the contents of a `config.json`, changed by the attributes among `kwargs`.

        Args:
            return_unused_kwargs: also return the `kwargs` that are not attributes (and `torch_dtype`).

        Raises:
            ValueError: another `model_type`, `num_labels` that is not the length of `id2label`, a wrong value.
            TypeError: `kwargs` that are not attributes and are not returned.
        """
        refuse_other_architecture(config_dict.get("model_type", MODEL_TYPE))
        refuse_reserved_names(config_dict, cls)
        known = {"num_labels", "name_or_path", *vars(cls()), *config_dict}
        unused = {name: value for name, value in kwargs.items() if name not in known}
        if unused and not return_unused_kwargs:
            raise TypeError(f"{cls.__name__} has no attribute {', '.join(map(repr, sorted(unused)))}")
        values = {**config_dict, **{name: value for name, value in kwargs.items() if name in known}}
        if "torch_dtype" in kwargs:
            values.pop("dtype", None)
            unused["torch_dtype"] = kwargs["torch_dtype"]
        config = cls(**relabelled(values, kwargs.get("num_labels"), has_names="id2label" in kwargs))
        return (config, unused) if return_unused_kwargs else config

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The contents of `config.json`, and the `kwargs` that do not say where to find it."""
        options, changes = split_hub_options(kwargs)
        file = find_config_file(pretrained_model_name_or_path, options)
        return read_config_file(file), without_neutral_options(changes)

    @overload
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, return_unused_kwargs: Literal[True], **kwargs: Any
    ) -> tuple[Self, dict[str, Any]]: ...
    @overload
    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Self: ...
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        *,
        subfolder: str = "",
        **kwargs: Any,
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Read `config.json` from a directory in Hugging Face layout (or the file itself), or from a hub id.

        Args:
            cache_dir, force_download, local_files_only, token, revision, subfolder: see
                `model.checkpoints.hub.HubOptions`; they are not stored.
            kwargs: as in `from_dict`.
        """
        options = HubOptions(cache_dir, force_download, local_files_only, token, revision, subfolder)
        file = find_config_file(pretrained_model_name_or_path, options)
        values, changes = read_config_file(file), without_neutral_options(kwargs)
        with errors_that_name(file):
            return cls.from_dict(values, **changes)

    @classmethod
    def from_json_file(cls, json_file: str | Path) -> Self:
        """Read a `config.json` by its path."""
        with errors_that_name(Path(json_file)):
            return cls.from_dict(read_config_file(Path(json_file)))

    def to_dict(self) -> dict[str, Any]:
        """All values, in the form of `config.json`.

        Raises ValueError: `hidden_act` is a callable, which cannot be written to a file.
        """
        if callable(self.hidden_act):
            raise ValueError("config.hidden_act is a callable and cannot be written; use one of its names")
        values = {name: copy.deepcopy(value) for name, value in vars(self).items() if name not in SECRETS}
        return {"model_type": MODEL_TYPE, **values}

    def to_diff_dict(self) -> dict[str, Any]:
        """`to_dict` without inherited attributes that have their default."""
        return without_defaults(self.to_dict(), type(self)().to_dict())

    def to_json_string(self, use_diff: bool = True) -> str:
        """`to_diff_dict`, or all of `to_dict`, as JSON."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def to_json_file(self, json_file_path: str | Path, use_diff: bool = True) -> None:
        """Write `to_json_string` to a file."""
        Path(json_file_path).write_text(self.to_json_string(use_diff), encoding="utf-8")

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False) -> None:
        """Write `config.json` into a directory, which is created if it does not exist."""
        if push_to_hub:
            raise ValueError("push_to_hub must be False: nothing is uploaded")
        directory = Path(save_directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.to_json_file(directory / CONFIG_FILE)

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set attributes; `validate` is called where a model is built."""
        for name, value in config_dict.items():
            setattr(self, name, value)

    def update_from_string(self, update_str: str) -> None:
        """Set attributes that exist from text such as "hidden_size=64,is_decoder=true"."""
        self.update(parse_changes(update_str, self))

    def copy(self, **changes: Any) -> Self:
        """An independent copy with some values changed."""
        values = {**copy.deepcopy(vars(self)), **changes}
        return type(self)(**relabelled(values, changes.get("num_labels"), has_names="id2label" in changes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XLMRobertaXLConfig) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        values = without_defaults({k: v for k, v in vars(self).items() if k not in SECRETS}, vars(type(self)()))
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"
