"""Whether a job's trunks and tokenizer can do what it asks of them: found out before any work."""

from collections.abc import Sequence

from model import CheckpointError, ShardGroup
from model.checkpoints.reader import Checkpoint, parameters_of
from model.inference.float8_linear import FLOAT8_MULTIPLE
from model.modeling.pretrained import refuse_missing_trunk
from pipeline.config.job import JobConfig
from pipeline.encoding.fragment import load_tokenizer
from pipeline.errors import ConfigError
from pipeline.heads.modules import build_head, build_trunk
from pipeline.heads.resolve import Head, read_config


def require_runnable(job: JobConfig, heads: Sequence[Head]) -> None:
    """Check what a rank would otherwise stumble over when it loads its shard or gets its first batch.

    Raises:
        ConfigError: names the field of the trunk or tokenizer, what was found and what is needed.
    """
    num_tokens = _vocab_size(job.model.path)
    for head in heads:
        _require_shapes(head)
    fields = {head.trunk: f"heads.{head.name}.trunk" for head in heads if head.options.trunk is not None}
    for trunk in dict.fromkeys(head.trunk for head in heads):
        _require_trunk(trunk, fields.get(trunk, "model.path"), num_tokens, job.model.tensor_parallel_size)
        if job.model.dtype == "float8":
            _require_float8_sizes(trunk, job.model.tensor_parallel_size)


def _require_shapes(head: Head) -> None:
    """Refuse a head whose tensors do not fit its configuration, as with another number of labels."""
    modules = build_head(head, build_trunk(head.trunk, ShardGroup()))
    if not modules:
        return
    checkpoint = Checkpoint(head.options.weights)
    for prefix, module in modules.items():
        for parameter in parameters_of(module, prefix):
            name = next((name for name in parameter.names if name in checkpoint), None)
            if name is not None and checkpoint.shape(name) != list(parameter.full_shape):
                raise ConfigError(
                    f"heads.{head.name}.weights: {head.options.weights}: tensor {name} is "
                    f"{checkpoint.shape(name)}, expected {list(parameter.full_shape)} by its config.json; "
                    "correct the configuration (num_labels, id2label), or name another checkpoint"
                )


def _vocab_size(directory: str) -> int:
    try:
        return load_tokenizer(directory).vocab_size
    except (OSError, ValueError) as error:
        raise ConfigError(f"model.path: {error}") from None


def _require_float8_sizes(directory: str, tensor_parallel_size: int) -> None:
    config = read_config(directory, "model.path")
    num_heads, multiple = config.num_attention_heads, FLOAT8_MULTIPLE
    # Ranks may have numbers of heads that differ by one.
    has_equal_heads = num_heads % tensor_parallel_size == 0
    attention_unit = config.head_size * (num_heads // tensor_parallel_size if has_equal_heads else 1)
    if (
        config.hidden_size % multiple
        or attention_unit % multiple
        or config.intermediate_size % (multiple * tensor_parallel_size)
    ):
        raise ConfigError(
            f'model.dtype: found "float8" for {directory} on {tensor_parallel_size} ranks, expected a hidden size '
            f"({config.hidden_size}), a rank's attention heads ({attention_unit}) and a rank's share of the "
            f"intermediate size ({config.intermediate_size}) that are multiples of {multiple}; use another "
            'model.tensor_parallel_size, or "bfloat16"'
        )


def _require_trunk(directory: str, field: str, num_tokens: int, tensor_parallel_size: int) -> None:
    config = read_config(directory, field)
    if config.position_embedding_type != "absolute":
        raise ConfigError(
            f"{field}: {directory} has position_embedding_type {config.position_embedding_type!r}, expected "
            "'absolute', as all released models have; packed batches know no other; name another model"
        )
    if tensor_parallel_size > config.num_attention_heads:
        raise ConfigError(
            f"model.tensor_parallel_size: found {tensor_parallel_size}, expected at most the "
            f"{config.num_attention_heads} attention heads of {directory}; lower it"
        )
    if num_tokens > config.vocab_size:
        raise ConfigError(
            f"{field}: {directory} has embeddings for {config.vocab_size} tokens, the tokenizer of model.path "
            f"has {num_tokens}; use the tokenizer that belongs to the model"
        )
    try:
        checkpoint = Checkpoint(directory)
        missing = []
        for parameter in parameters_of(build_trunk(directory, ShardGroup())):
            checkpoint.mark_used(parameter.names)
            if not any(name in checkpoint for name in parameter.names):
                missing.append(parameter.names[0])
        refuse_missing_trunk(missing, checkpoint)
    except CheckpointError as error:
        raise ConfigError(f"{field}: {error}") from None
