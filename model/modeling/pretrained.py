"""The base of all model classes: building, loading, saving, resizing, pruning, gradient checkpointing."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, overload

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from model.checkpoints.hub import HubOptions, checkpoint_directory, config_directory
from model.checkpoints.loading_options import without_neutral_options
from model.checkpoints.parameters import LoadReport
from model.checkpoints.state_dict import StateDictCheckpoint
from model.checkpoints.writer import DEFAULT_MAX_SHARD_SIZE, write_checkpoint
from model.config import XLMRobertaXLConfig
from model.configuration.parsing import as_dtype
from model.layers.dropout import DropoutSeed
from model.modeling.initialization import initialize_parameters
from model.modeling.loading import configuration_of, load_weights, loading_info, open_checkpoint, warn_of
from model.modeling.model_facts import ModelFacts
from model.modeling.resizing import prune_attention, resize_embedding
from model.modeling.saving import given_tensors, own_tensors
from model.parallel.group import ShardGroup
from model.parallel.layers import ColumnParallelLinear, VocabParallelEmbedding


class XLMRobertaXLPreTrainedModel(ModelFacts):
    """Base of `XLMRobertaXLModel` and the task models.

    Attributes:
        config: geometry and options.
        group: the ranks that share this model; each holds its own slice of the weights.
        load_report: after `from_pretrained`, which parameters are new and which stored tensors were unused.

    Logits and losses are fp32 under autocast too, and float64 for a float64 model.
    """

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup | None = None) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.group = group or ShardGroup()
        self.load_report: LoadReport | None = None
        self._require_grads_hook: RemovableHandle | None = None
        refuse_few_heads(config, self.group)

    def get_input_embeddings(self) -> VocabParallelEmbedding:
        """The word embeddings (this rank's rows)."""
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: VocabParallelEmbedding | nn.Embedding) -> None:
        """Replace the word embeddings; a tied projection follows.

        Args:
            value: this rank's rows, or a whole `torch.nn.Embedding`. A group of one uses its weights themselves,
                each rank of a larger group a copy of its rows.

        Raises:
            ValueError: not `[vocab_size, hidden_size]`; to change that, see `resize_token_embeddings`.
        """
        refuse_other_sizes("embeddings", value.num_embeddings, value.embedding_dim, self.config)
        if isinstance(value, nn.Embedding):
            value = VocabParallelEmbedding.from_embedding(value, self.group, padding_idx=self.config.pad_token_id)
        self.base_model.embeddings.word_embeddings = value
        self.tie_weights()

    def get_output_embeddings(self) -> ColumnParallelLinear | None:
        """None: there is no projection onto the vocabulary; language models override this."""
        return None

    def tie_weights(self) -> None:
        """Tie the weights that share the word embeddings again; language models override this."""

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None
    ) -> VocabParallelEmbedding:
        """Shrink the vocabulary, or append tokens with normal random embeddings (`initializer_range`).

        Changes `config.vocab_size`, and the projection of a language model too. All ranks call this together.

        Args:
            new_num_tokens: size of the vocabulary; default unchanged.
            pad_to_multiple_of: round the size up to a multiple of this.

        Returns:
            the word embeddings.

        Raises:
            ValueError: the size is not positive, or leaves no padding token.
        """
        num_tokens = self.config.vocab_size if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of is not None:
            num_tokens = -(-num_tokens // pad_to_multiple_of) * pad_to_multiple_of
        if num_tokens != self.config.vocab_size:
            self.config.copy(vocab_size=num_tokens)  # refuses invalid sizes
            self.config.vocab_size = num_tokens
            resize_embedding(self.get_input_embeddings(), num_tokens, std=self.config.initializer_range)
            self.resize_output_embeddings(num_tokens)
        return self.get_input_embeddings()

    def resize_output_embeddings(self, num_tokens: int) -> None:
        """Resize the projection with the vocabulary; language models override this."""

    def prune_heads(self, heads_to_prune: Mapping[int, Iterable[int]]) -> None:
        """Remove attention heads from the projections, and add them to `config.pruned_heads`.

        Indices are those of the unpruned model. All ranks call this together.

        Args:
            heads_to_prune: by layer, the heads to remove; layer -1 is the last.

        Raises:
            ValueError: there is no such layer or head, or fewer heads than ranks would stay in a layer.
        """
        pruned = {layer: set(heads) for layer, heads in self.config.pruned_heads.items()}
        for layer, heads in heads_to_prune.items():
            pruned.setdefault(int(layer), set()).update(heads)
        changed = self.config.copy(pruned_heads={layer: sorted(heads) for layer, heads in pruned.items()})
        refuse_few_heads(changed, self.group)
        self.config.pruned_heads = changed.pruned_heads
        for index, layer_module in enumerate(self.base_model.encoder.layers):
            prune_attention(layer_module.attention, self.config.kept_heads(index))

    def enable_input_require_grads(self) -> None:
        """Make the output of the word embeddings require gradients, for adapters on frozen weights."""

        def require_grads(module: nn.Module, args: Any, output: Tensor) -> None:
            output.requires_grad_(True)

        self._require_grads_hook = self.get_input_embeddings().register_forward_hook(require_grads)

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        if self._require_grads_hook is not None:
            self._require_grads_hook.remove()

    def gradient_checkpointing_enable(self) -> None:
        """In `train()`, keep only the input of each layer and recompute the layer in the backward pass."""
        self.base_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations for the backward pass, the default."""
        self.base_model.encoder.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether gradient checkpointing is on."""
        return self.base_model.encoder.gradient_checkpointing

    def dropout_seed(self) -> DropoutSeed | None:
        """A new seed for one forward pass in `train()`, the same on all ranks; None in `eval()`."""
        config = self.config
        probabilities = (config.hidden_dropout_prob, config.attention_probs_dropout_prob, config.head_dropout_prob)
        if not self.training or not any(probabilities):
            return None
        return DropoutSeed(self.group.common_seed())

    def initialize(self) -> None:
        """Initialise the weights on the default device, unless that is the meta device.

        Classes build their modules under `torch.device("meta")` and call this afterwards, so that nothing is
        allocated twice. A trunk within a task model is initialised by the task model; under `from_pretrained` the
        default device is the meta device.
        """
        device = torch.get_default_device()
        if device.type != "meta":
            initialize_parameters(
                self, initializer_range=self.config.initializer_range, group=self.group, device=str(device)
            )

    @overload
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path | None,
        *model_args: Any,
        output_loading_info: Literal[True],
        **kwargs: Any,
    ) -> tuple[Self, dict[str, list[Any]]]: ...
    @overload
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path | None, *model_args: Any, **kwargs: Any
    ) -> Self: ...
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path | None,
        *model_args: Any,
        config: XLMRobertaXLConfig | str | Path | None = None,
        cache_dir: str | Path | None = None,
        ignore_mismatched_sizes: bool = False,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        subfolder: str = "",
        state_dict: Mapping[str, Tensor] | None = None,
        output_loading_info: bool = False,
        torch_dtype: torch.dtype | str | None = None,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str = "cpu",
        group: ShardGroup | None = None,
        **kwargs: Any,
    ) -> Self | tuple[Self, dict[str, list[Any]]]:
        """Load from a directory in Hugging Face layout or a hub id; each rank reads its own slices only.

        Args:
            pretrained_model_name_or_path: directory with `config.json` and `model.safetensors` or
                `pytorch_model.bin` (or a sharded index of either), or an id such as "facebook/xlm-roberta-xl". Of
                several, the one that Transformers would read is read, and a warning names the others.
            model_args, kwargs: changes to the configuration (`num_labels=3`, `problem_type=…`) and arguments of
                the class (`add_pooling_layer=False`).
            config: replaces that of the directory; also the path or hub id of one.
            cache_dir, force_download, local_files_only, token, revision, subfolder: see
                `model.checkpoints.hub.HubOptions`; they are not stored.
            ignore_mismatched_sizes: initialise parameters that have another shape in the checkpoint.
            state_dict: full tensors by name, instead of files.
            output_loading_info: also return the names of missing, unexpected and mismatched tensors.
            torch_dtype, dtype: two names for the dtype of the weights; default ("auto") that of `config.json`,
                else float32.

        Returns:
            the model in `eval()` mode. Heads that are missing in the checkpoint are initialised; a warning names
            them and the unused tensors, see `load_report`.

        Raises:
            CheckpointError: a tensor of the trunk is missing, or a tensor has another shape.
            ValueError: `config.json` is missing, or no model can be built from it; or an option that is
                accepted only as None, such as `device_map`.
            TypeError: an argument that neither the configuration nor the class has.
        """
        source = pretrained_model_name_or_path
        options = HubOptions(cache_dir, force_download, local_files_only, token, revision, subfolder)
        changes = without_neutral_options(kwargs)
        if source is None and (config is None or state_dict is None):
            raise ValueError(
                "pretrained_model_name_or_path must be a directory or a hub id, found None; to load without one, "
                "pass both config and state_dict"
            )
        find = checkpoint_directory if state_dict is None else config_directory
        directory = None if source is None else find(source, options)
        config, arguments = configuration_of(config, directory, options, changes)
        config.torch_dtype = as_dtype(torch_dtype if dtype is None else dtype) or config.dtype or torch.float32
        with torch.device("meta"):
            model = cls(config, *model_args, **{**arguments, "group": group})
        checkpoint = open_checkpoint(str(directory)) if state_dict is None else StateDictCheckpoint(state_dict)
        model.load_report = load_weights(
            model, checkpoint, device=device, ignore_mismatched_sizes=ignore_mismatched_sizes
        )
        warn_of(model.load_report, source, cls.__name__)
        config.name_or_path = "" if source is None else source
        if not output_loading_info:
            return model.eval()
        return model.eval(), loading_info(model, checkpoint, model.load_report)

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        save_function: Callable[..., Any] = torch.save,
        push_to_hub: bool = False,
        max_shard_size: int | str = DEFAULT_MAX_SHARD_SIZE,
        safe_serialization: bool = True,
        variant: str | None = None,
    ) -> None:
        """Write `config.json` and `model.safetensors`, or several files with an index; Transformers can load them.

        Under tensor parallelism all ranks call this together: tensors are gathered one at a time, and rank 0
        writes. An earlier checkpoint in the directory is replaced.

        Args:
            is_main_process: whether this process writes (under tensor parallelism: if it is rank 0).
            state_dict: full tensors by name, to write instead of those of the model.
            save_function: ignored; in Transformers it writes pickles, which are not written here.
            push_to_hub, safe_serialization, variant: for compatibility; only their defaults are accepted.
            max_shard_size: maximum bytes per file, as a number or as "500MB".

        Raises:
            ValueError: `config.hidden_act` is a callable, the size cannot be parsed, the trunk was fused, or an
                upload, a pickle or a variant is asked for.
        """
        if self.base_model.fused is not None:
            raise ValueError("a trunk that was fused cannot be saved; load it again")
        if not safe_serialization:
            raise ValueError("safe_serialization must be True: only safetensors are written")
        if push_to_hub or variant is not None:
            raise ValueError(
                "push_to_hub must be False and variant None: nothing is uploaded, and files are named alike"
            )
        config = self.config.copy(torch_dtype=self.dtype, architectures=[type(self).__name__])
        config.to_dict()
        specs, read = own_tensors(self, self.group) if state_dict is None else given_tensors(self, state_dict)
        is_writer = self.group.rank == 0 and is_main_process
        write_checkpoint(Path(save_directory), specs, read, max_shard_size=max_shard_size, is_writer=is_writer)
        if is_writer:
            config.save_pretrained(save_directory)
        self.group.barrier()


def refuse_few_heads(config: XLMRobertaXLConfig, group: ShardGroup) -> None:
    """Raise ValueError if a layer has fewer attention heads than there are ranks."""
    for layer in (None, *config.pruned_heads):
        num_heads = config.num_attention_heads if layer is None else len(config.kept_heads(layer))
        if num_heads < group.size:
            where = "config.num_attention_heads" if layer is None else f"layer {layer} after pruning"
            raise ValueError(
                f"tensor parallelism over {group.size} ranks needs at least as many attention heads in every "
                f"layer, found {num_heads} ({where})"
            )


def refuse_other_sizes(what: str, num_rows: int, width: int, config: XLMRobertaXLConfig) -> None:
    """Raise ValueError unless input or output embeddings have a row per token and the width of the model."""
    expected, found = [config.vocab_size, config.hidden_size], [num_rows, width]
    if found != expected:
        raise ValueError(
            f"{what} must be [config.vocab_size, config.hidden_size] = {expected}, found {found}; "
            "use resize_token_embeddings to change their number"
        )
