"""Check before any work that a job's trunks, heads and tokenizer are complete and fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.checkpoints.reader import Checkpoint, CheckpointError
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, read_config, trunk_field, weights_field
from pipeline.heads.tokenizer_fit import check_tokenizer
from pipeline.heads.weights_fit import count_unused, refuse_unfit_head, refuse_unfit_trunk
from pipeline.storage.printable import number_of


@dataclass(frozen=True)
class Findings:
    """Messages about a valid job.

    Attributes:
        warnings: about ignored weight files, and a tokenizer that may be the wrong one.
        unused: unused tensors, by directory and prefix.
    """

    warnings: list[str]
    unused: list[str]


def require_runnable(job: JobConfig, heads: Sequence[Head]) -> Findings:
    """Check what would otherwise fail on the ranks; `heads` are before equal trunks are shared.

    Raises ConfigError, which names the field of the trunk, head or tokenizer.
    """
    trunks: dict[str, str] = {}
    for head in heads:
        trunks.setdefault(head.trunk, trunk_field(head.name, head.options))
    for trunk, field in trunks.items():
        _require_trunk_options(trunk, field, job.model.tensor_parallel_size)
        if job.model.dtype == "float8":
            _require_float8_sizes(trunk, job.model.tensor_parallel_size)
    checkpoints = _require_tensors(job, heads, trunks)
    notices = [
        f"{directory}: {checkpoint.weight_files.notice}"
        for directory, checkpoint in checkpoints.items()
        if checkpoint.weight_files.notice
    ]
    unused = [
        f"{directory}: {counts}"
        for directory, checkpoint in checkpoints.items()
        if (counts := count_unused(checkpoint, is_trunk=directory in trunks))
    ]
    return Findings(notices + check_tokenizer(job, heads, trunks), unused)


def _require_tensors(job: JobConfig, heads: Sequence[Head], trunks: Mapping[str, str]) -> dict[str, Checkpoint]:
    """Refuse trunks and heads that are incomplete, or do not fit their configurations.

    Returns the checkpoints by directory, with all tensors that will be loaded marked as used.
    """
    checkpoints = {}
    for trunk, field in trunks.items():
        checkpoints[trunk] = _open(trunk, field)
        try:
            refuse_unfit_trunk(trunk, checkpoints[trunk])
        except CheckpointError as error:
            raise ConfigError(f"{field}: {error}") from None
    for head in heads:
        directory, task = head.options.weights, head.options.task
        field = weights_field(head.name, head.options, job.model.path)
        if directory not in checkpoints:
            checkpoints[directory] = _open(directory, field)
        try:
            missing = refuse_unfit_head(head, checkpoints[directory])
        except CheckpointError as error:
            raise ConfigError(f"{field}: {directory}: for {task}, {error}") from None
        if missing:
            raise ConfigError(
                f"{field}: {directory} has no {', '.join(missing)}, which task {task} needs; name in "
                f"heads.{head.name}.weights the directory of a checkpoint that was fine-tuned for it"
            )
    return checkpoints


def _open(directory: str, field: str) -> Checkpoint:
    try:
        return Checkpoint(directory)
    except (CheckpointError, OSError) as error:
        raise ConfigError(f"{field}: {error}") from None


def _require_float8_sizes(directory: str, tensor_parallel_size: int) -> None:
    # Imported here, as it loads torch.
    from model.kernels.float8 import FLOAT8_MULTIPLE  # noqa: PLC0415

    config = read_config(directory, "model.path")
    num_heads, multiple = config.num_attention_heads, FLOAT8_MULTIPLE
    # The numbers of heads of two ranks may differ by one.
    has_equal_heads = num_heads % tensor_parallel_size == 0
    attention_unit = config.head_size * (num_heads // tensor_parallel_size if has_equal_heads else 1)
    if (
        config.hidden_size % multiple
        or attention_unit % multiple
        or config.intermediate_size % (multiple * tensor_parallel_size)
    ):
        raise ConfigError(
            f'model.dtype: found "float8" for {directory} on {number_of(tensor_parallel_size, "rank")}, expected '
            f"a hidden size ({config.hidden_size}), a rank's attention heads ({attention_unit}) and a rank's "
            f"share of the intermediate size ({config.intermediate_size}) that are multiples of {multiple}; use "
            'another model.tensor_parallel_size, or "bfloat16"'
        )


def _require_trunk_options(directory: str, field: str, tensor_parallel_size: int) -> None:
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
