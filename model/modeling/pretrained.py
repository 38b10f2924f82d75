"""What all model classes share: building, loading, saving, resizing, pruning, gradient checkpointing."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn

from model.checkpoints.hub import checkpoint_directory
from model.checkpoints.reader import (
    Checkpoint,
    CheckpointError,
    LoadReport,
    canonical,
    load_parameters,
    parameters_of,
)
from model.checkpoints.writer import DEFAULT_MAX_SHARD_SIZE, TensorSpec, write_checkpoint
from model.config import XLMRobertaXLConfig, dtype_name
from model.layers.dropout import DropoutSeed
from model.modeling.initialization import initialize_parameters
from model.modeling.resizing import prune_attention, resize_embedding
from model.parallel.group import ShardGroup
from model.parallel.layers import VocabParallelEmbedding

if TYPE_CHECKING:
    from model.modeling.trunk import XLMRobertaXLModel

logger = logging.getLogger(__name__)


class XLMRobertaXLPreTrainedModel(nn.Module):
    """Base of `XLMRobertaXLModel` and the task models.

    Attributes:
        config: geometry and options.
        group: the ranks that share this model; every rank holds its own slice of the weights.
        load_report: after `from_pretrained`, which parameters are new and which stored tensors were unused.
    """

    base_model_prefix = "roberta"

    def __init__(self, config: XLMRobertaXLConfig, group: ShardGroup | None = None) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.group = group or ShardGroup()
        self.load_report: LoadReport | None = None
        refuse_few_heads(config, self.group)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def base_model(self) -> "XLMRobertaXLModel":
        """The trunk: of a task model `roberta`, of the trunk itself."""
        return cast("XLMRobertaXLModel", getattr(self, self.base_model_prefix, self))

    def get_input_embeddings(self) -> VocabParallelEmbedding:
        """The word embeddings (this rank's rows)."""
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: VocabParallelEmbedding | nn.Embedding) -> None:
        """Replace the word embeddings; a tied projection follows.

        Args:
            value: this rank's rows, or a whole `torch.nn.Embedding`, of which a group of one takes the weights
                themselves and a larger group a copy of each rank's rows.

        Raises:
            ValueError: not `[vocab_size, hidden_size]`; to change that, see `resize_token_embeddings`.
        """
        config = self.config
        found = (value.num_embeddings, value.embedding_dim)
        if found != (config.vocab_size, config.hidden_size):
            raise ValueError(
                f"embeddings must be [config.vocab_size, config.hidden_size] = [{config.vocab_size}, "
                f"{config.hidden_size}], found {list(found)}; use resize_token_embeddings to change their number"
            )
        if isinstance(value, nn.Embedding):
            value = VocabParallelEmbedding.from_embedding(value, self.group, padding_idx=config.pad_token_id)
        self.base_model.embeddings.word_embeddings = value
        self.tie_weights()

    def tie_weights(self) -> None:
        """Let what shares the word embeddings share them again; language models override this."""

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None
    ) -> VocabParallelEmbedding:
        """Cut the vocabulary, or add tokens behind it, drawn from a normal distribution (`initializer_range`).

        Changes `config.vocab_size`, and the projection of a language model too. All ranks call this together.

        Args:
            new_num_tokens: size of the vocabulary; default as it is.
            pad_to_multiple_of: rounds it up.

        Returns:
            the word embeddings.

        Raises:
            ValueError: a number that is not positive or leaves no padding token.
        """
        num_tokens = self.config.vocab_size if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of is not None:
            num_tokens = -(-num_tokens // pad_to_multiple_of) * pad_to_multiple_of
        if num_tokens != self.config.vocab_size:
            self.config.copy(vocab_size=num_tokens)  # refuses what no model can have
            self.config.vocab_size = num_tokens
            resize_embedding(self.get_input_embeddings(), num_tokens, std=self.config.initializer_range)
            self.resize_output_embeddings(num_tokens)
        return self.get_input_embeddings()

    def resize_output_embeddings(self, num_tokens: int) -> None:
        """Follow a new size of the vocabulary; language models override this."""

    def prune_heads(self, heads_to_prune: Mapping[int, Iterable[int]]) -> None:
        """Remove attention heads for good: the projections get smaller, `config.pruned_heads` says which are gone.

        Heads are counted as in the whole model, whatever was pruned before. All ranks call this together.

        Args:
            heads_to_prune: by layer, the heads to remove.

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

    def gradient_checkpointing_enable(self) -> None:
        """In `train()`, keep only the input of each layer and compute the layer again for its gradient."""
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
        """Draw initial weights on the default device, unless that is the meta device.

        Classes build their modules under `torch.device("meta")` and call this behind it, so that nothing is
        allocated twice; a model within a model is left to the outer one, and all of it to `from_pretrained`.
        """
        device = torch.get_default_device()
        if device.type != "meta":
            initialize_parameters(
                self, initializer_range=self.config.initializer_range, group=self.group, device=str(device)
            )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        config: XLMRobertaXLConfig | None = None,
        group: ShardGroup | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | str | None = None,
        revision: str | None = None,
        **overrides: Any,
    ) -> Self:
        """Load from a directory in Hugging Face layout or a hub id; each rank reads its own slices only.

        Args:
            path: directory with `config.json` and `model.safetensors` or `pytorch_model.bin` (or a sharded index
                of either), or an id such as "facebook/xlm-roberta-xl". Of several, the one that Transformers reads
                is read, and a warning of the logger names the others.
            config: in place of the directory's.
            dtype: of the weights; default as stored in `config.json`, else float32; "auto" is the default.
                `torch_dtype` is another name for it.
            revision: branch, tag or commit of a hub id.
            overrides: changes to the configuration (`num_labels=3`, `problem_type=…`) and arguments of the
                class (`add_pooling_layer=False`).

        Returns:
            the model in `eval()` mode. Heads that the checkpoint does not hold are initialised, and a warning
            of the logger names them and the stored tensors that were not used; see `load_report`.

        Raises:
            CheckpointError: a tensor of the trunk is missing, or has another shape.
            ValueError: `config.json` is missing, or no model can be built from it.
            TypeError: an override that is no option of the configuration.
        """
        arguments = {k: overrides.pop(k) for k in ("add_pooling_layer",) if k in overrides}
        dtype = overrides.pop("torch_dtype", None) if dtype is None else dtype
        directory = checkpoint_directory(path, revision=revision)
        config = config or XLMRobertaXLConfig.from_pretrained(directory)
        for name in overrides:
            if not hasattr(config, name):
                raise TypeError(
                    f"{cls.__name__}.from_pretrained() got an option that no configuration has: {name}"
                )
        config = config.copy(**overrides)
        config.torch_dtype = dtype_name(dtype) or config.torch_dtype or "float32"
        torch_dtype = getattr(torch, config.torch_dtype)
        with torch.device("meta"):
            model = cls(config, group=group, **arguments)
        checkpoint = Checkpoint(directory)
        if checkpoint.weight_files.notice:
            logger.warning("%s: %s", path, checkpoint.weight_files.notice)
        missing = load_parameters(model, checkpoint, dtype=torch_dtype, device=device)
        refuse_missing_trunk(missing, checkpoint)
        new = initialize_parameters(
            model,
            initializer_range=config.initializer_range,
            group=model.group,
            dtype=torch_dtype,
            device=str(device),
        )
        model.load_report = LoadReport(new=new, unused=checkpoint.unused)
        if new:
            logger.warning("%s: not in the checkpoint, newly initialised: %s", path, ", ".join(new))
        if checkpoint.unused:
            logger.warning("%s: not used by %s: %s", path, cls.__name__, ", ".join(checkpoint.unused))
        return model.eval()

    def save_pretrained(
        self,
        directory: str | Path,
        *,
        max_shard_size: int | str = DEFAULT_MAX_SHARD_SIZE,
        safe_serialization: bool = True,
    ) -> None:
        """Write `config.json` and `model.safetensors`, or several files with an index; Transformers loads them.

        Under tensor parallelism all ranks call this together: tensors are gathered one at a time, and rank 0
        writes. An earlier checkpoint in the directory is replaced.

        Args:
            max_shard_size: most bytes in a file, as a number or as "500MB".
            safe_serialization: taken for the sake of code written for Transformers; pickles are not written.

        Raises:
            ValueError: `config.hidden_act` is a callable, the size cannot be understood, a pickle is wanted, or
                the trunk was fused.
        """
        if self.base_model.fused is not None:
            raise ValueError("a trunk that was fused cannot be saved; load it again")
        if not safe_serialization:
            raise ValueError("safe_serialization must be True: only safetensors are written")
        config = self.config.copy(torch_dtype=self.dtype, architectures=[type(self).__name__])
        config.to_dict()
        entries = {name: entry for entry in parameters_of(self) for name in entry.stored_names}
        specs = [TensorSpec(name, tuple(e.full_shape), e.parameter.dtype) for name, e in entries.items()]

        def read(name: str) -> Tensor:
            entry = entries[name]
            return entry.parameter if entry.shard is None else entry.shard.gather(entry.parameter, self.group)

        is_writer = self.group.rank == 0
        write_checkpoint(Path(directory), specs, read, max_shard_size=max_shard_size, is_writer=is_writer)
        if is_writer:
            config.save_pretrained(directory)
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


def refuse_missing_trunk(missing: list[str], checkpoint: Checkpoint) -> None:
    """Raise CheckpointError if embeddings or encoder are not complete; heads and pooler may be new."""
    trunk = [name for name in missing if is_of_trunk(name)]
    if trunk:
        shown = ", ".join(trunk[:5]) + (f" and {len(trunk) - 5} more" if len(trunk) > 5 else "")
        unused = sorted(checkpoint.unused, key=lambda name: not is_of_trunk(name))
        such_as = f", such as {', '.join(unused[:3])}" if unused else ""
        raise CheckpointError(
            f"{checkpoint.directory}: {len(trunk)} tensors of the trunk are missing: {shown}; "
            f"found {len(unused)} tensors that fit nowhere{such_as}. Is this the right checkpoint?"
        )


def is_of_trunk(name: str) -> bool:
    """Whether a tensor belongs to the embeddings or the encoder; heads and the pooler are no part of the trunk."""
    return canonical(name).startswith(("embeddings.", "encoder."))
