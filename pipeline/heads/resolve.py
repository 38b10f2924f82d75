"""Resolve the heads of a job: join their options with the configurations of their checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from model import XLMRobertaXLConfig
from model.checkpoints.json_files import shown
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.tasks.all_tasks import TASKS, HeadConfig
from pipeline.tasks.contract import SequenceSpec, Task


@dataclass(frozen=True)
class Head:
    """One output column: its options, what it reads, its trunk's directory, and its weights' configuration."""

    name: str
    options: HeadConfig
    sequence_spec: SequenceSpec
    trunk: str
    config: XLMRobertaXLConfig

    @property
    def task(self) -> Task[Any]:
        """The head's task."""
        return TASKS[self.options.task]

    @property
    def output_type(self) -> pa.DataType:
        """The Arrow type of the head's column."""
        return self.task.output_type(self.options, self.config)


def resolve_heads(job: JobConfig) -> list[Head]:
    """The heads of a job, in the order of its file.

    Raises ConfigError if a configuration is missing, or a head does not fit its weights or trunk.
    """
    heads = [_resolve_head(name, options, job) for name, options in job.heads.items()]
    for head in heads:
        _check_weights(head, weights_field(head.name, head.options, job.model.path))
    return heads


def _resolve_head(name: str, options: HeadConfig, job: JobConfig) -> Head:
    trunk = options.trunk or job.model.path
    trunk_config = read_config(trunk, trunk_field(name, options))
    config = read_config(options.weights, weights_field(name, options, job.model.path))
    if config.hidden_size != trunk_config.hidden_size:
        raise ConfigError(
            f"heads.{name}.weights: {options.weights} has hidden_size {config.hidden_size}, expected that of the "
            f"trunk {trunk}, {trunk_config.hidden_size}; name a head that was trained on this trunk"
        )
    task = TASKS[options.task]
    if task.is_causal != trunk_config.is_decoder:
        found, wanted = ("a decoder", "an encoder") if trunk_config.is_decoder else ("an encoder", "a decoder")
        raise ConfigError(
            f"heads.{name}: {trunk} is {found} (is_decoder in its config.json), task {task.name} needs "
            f"{wanted}; name another trunk"
        )
    try:
        spec = task.sequence_spec(options, trunk_config.max_num_tokens)
        task.output_type(options, config)
    except ValueError as error:
        raise ConfigError(f"heads.{name}.{error}") from None
    try:
        reads = task.reads(options, config)
    except ValueError as error:
        field = weights_field(name, options, job.model.path)
        raise ConfigError(f"{field}: {options.weights}: {error}; correct config.json") from None
    if reads and config.num_hidden_layers != trunk_config.num_hidden_layers:
        raise ConfigError(
            f"heads.{name}.weights: {options.weights} has num_hidden_layers {config.num_hidden_layers}, expected "
            f"that of the trunk {trunk}, {trunk_config.num_hidden_layers}, whose layers this head reads; name a "
            "head that was trained on this trunk"
        )
    return Head(name, options, spec, trunk, config)


def read_config(directory: str, field: str) -> XLMRobertaXLConfig:
    """The configuration in a directory, which `field` of the job names."""
    try:
        config = XLMRobertaXLConfig.from_pretrained(directory)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{field}: {error}") from None
    if config.pad_token_id is None:
        raise ConfigError(
            f"{field}: {Path(directory, 'config.json')}: pad_token_id is null, expected a token id, behind which "
            "positions are counted; set it (to 1 in XL and XXL)"
        )
    return config


def trunk_field(name: str, options: HeadConfig) -> str:
    """The key of the job file that names a head's trunk."""
    return f"heads.{name}.trunk" if options.trunk else "model.path"


def weights_field(name: str, options: HeadConfig, model_path: str) -> str:
    """The key of the job file that names a head's weights; that of its trunk by default."""
    is_apart = options.weights != (options.trunk or model_path)
    return f"heads.{name}.weights" if is_apart else trunk_field(name, options)


def _check_weights(head: Head, field: str) -> None:
    """Refuse labels that do not suit the task; `field` names the weights."""
    field, config = f"{field}: {head.options.weights}", head.config
    if sorted(config.id2label) != list(range(config.num_labels)):
        raise ConfigError(
            f"{field} has an id2label with the ids {shown(sorted(config.id2label))}, expected 0 to "
            f"{config.num_labels - 1}; correct it in config.json"
        )
    try:
        head.task.check_weights(head.options, config)
    except ConfigError as error:
        raise ConfigError(f"{field}: {error}") from None


def sequence_specs(heads: Sequence[Head]) -> list[SequenceSpec]:
    """The distinct specs of the heads, in order."""
    return list(dict.fromkeys(head.sequence_spec for head in heads))


def output_types(heads: Sequence[Head]) -> Mapping[str, pa.DataType]:
    """The Arrow type of each head's column, by name."""
    return {head.name: head.output_type for head in heads}
