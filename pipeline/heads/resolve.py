"""Heads as they will be run: configuration joined with what their weights' directories say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pyarrow as pa

from model import XLMRobertaXLConfig
from pipeline.columns import ProblemType, head_type
from pipeline.config.job import JobConfig
from pipeline.encoding.items import Source, source_of
from pipeline.errors import ConfigError
from pipeline.tasks.all_tasks import (
    CausalLMLossHead,
    EmbeddingHead,
    HeadConfig,
    QuestionAnsweringHead,
    TextClassificationHead,
    TextGenerationHead,
    TokenClassificationHead,
    ZeroShotHead,
)
from pipeline.tasks.zero_shot_classification import entailment_ids


@dataclass(frozen=True)
class Head:
    """One output column: its options, its source, the trunk it sits on, and the weights' own configuration."""

    name: str
    options: HeadConfig
    source: Source
    trunk: str
    config: XLMRobertaXLConfig

    @property
    def labels(self) -> list[str]:
        """Names of a classifier's labels, by class id."""
        return [self.config.id2label[i] for i in range(self.config.num_labels)]

    @property
    def problem_type(self) -> ProblemType:
        """What a classifier predicts; inferred from the number of labels where the weights do not say."""
        stored = self.config.problem_type
        if stored is not None:
            return next(p for p in get_args(ProblemType) if p == stored)
        return "regression" if self.config.num_labels == 1 else "single_label_classification"

    @property
    def output_type(self) -> pa.DataType:
        """Arrow type of the head's column."""
        return head_type(self.options, hidden_size=self.config.hidden_size, problem_type=self.problem_type)

    @property
    def needs_offsets(self) -> bool:
        """Whether results are spans of the text."""
        return isinstance(self.options, TokenClassificationHead | QuestionAnsweringHead)


def resolve_heads(job: JobConfig) -> list[Head]:
    """The heads of a job in the order of its file, checked against the configurations of their checkpoints.

    Raises:
        ConfigError: a configuration is missing, or a head does not fit its trunk; names head and field.
    """
    heads = [_resolve_head(name, options, job) for name, options in job.heads.items()]
    for head in heads:
        _require_labels(head, weights_field(head.name, head.options, job.model.path))
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
    is_causal = isinstance(options, CausalLMLossHead | TextGenerationHead)
    if is_causal != trunk_config.is_decoder:
        found, wanted = ("a decoder", "an encoder") if trunk_config.is_decoder else ("an encoder", "a decoder")
        raise ConfigError(
            f"heads.{name}: {trunk} is {found} (is_decoder in its config.json), task {options.task} needs "
            f"{wanted}; name another trunk"
        )
    try:
        source = source_of(options, trunk_config.max_num_tokens)
        if isinstance(options, EmbeddingHead):
            options.num_dimensions(config.hidden_size)
    except ValueError as error:
        raise ConfigError(f"heads.{name}.{error}") from None
    return Head(name, options, source, trunk, config)


def read_config(directory: str, field: str) -> XLMRobertaXLConfig:
    """`config.json` of a directory that a field of the job names."""
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
    """The key of the job file that names a head's weights: that of its trunk, where they are not named apart."""
    is_apart = options.weights != (options.trunk or model_path)
    return f"heads.{name}.weights" if is_apart else trunk_field(name, options)


def _require_labels(head: Head, field: str) -> None:
    """Refuse label maps that a task cannot be done with; `field` names the weights."""
    field, config = f"{field}: {head.options.weights}", head.config
    if sorted(config.id2label) != list(range(config.num_labels)):
        raise ConfigError(
            f"{field} has an id2label with the ids {sorted(config.id2label)}, expected 0 to "
            f"{config.num_labels - 1}; correct it in config.json"
        )
    match head.options:
        case TextClassificationHead() if head.problem_type == "regression" and config.num_labels > 1:
            raise ConfigError(
                f"{field} has problem_type 'regression' with {config.num_labels} labels, expected one; name a "
                "head that predicts a single value"
            )
        case ZeroShotHead():
            try:
                entailment_ids(config.id2label, multi_label=head.options.multi_label)
            except ConfigError as error:
                raise ConfigError(f"{field}: {error}") from None
        case QuestionAnsweringHead() if config.num_labels != 2:
            raise ConfigError(
                f"{field} has {config.num_labels} labels, expected 2, the start and the end of an answer; name a "
                "checkpoint that was fine-tuned for question answering"
            )


def sources_of(heads: Sequence[Head]) -> list[Source]:
    """The distinct sources, in the order of the heads."""
    return list(dict.fromkeys(head.source for head in heads))


def output_types(heads: Sequence[Head]) -> Mapping[str, pa.DataType]:
    """Arrow type of each head's column, by name."""
    return {head.name: head.output_type for head in heads}
