"""What makes two runs the same: if any of this differs, their parts do not belong side by side."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from model.checkpoint import Checkpoint
from pipeline.config import JobConfig
from pipeline.heads import Head
from pipeline.manifest import content_digest

# How many replicas there are changes no byte of the output; how a batch is cut and spread changes its rounding.
_WITHOUT_EFFECT = {"path", "replicas", "cpus_per_rank"}


def run_identity(job: JobConfig, heads: list[Head]) -> dict[str, str]:
    """Named digests of what the output depends on: options, weights by content, tokenizer, code version."""
    identity = {
        "code": version("xlmr-ray"),
        "input": _text_digest(job.input.model_dump_json(exclude={"path"})),
        "output": _text_digest(job.output.model_dump_json(exclude={"path"})),
        "model": _text_digest(job.model.model_dump_json(exclude=_WITHOUT_EFFECT)),
        "tokenizer": content_digest([Path(job.model.path) / "sentencepiece.bpe.model"]),
    }
    weights = {path: weights_digest(path) for path in _directories(heads)}
    for head in heads:
        options = head.options.model_dump_json(exclude={"weights", "trunk"})
        identity[f"heads.{head.name}"] = _text_digest(options)
        identity[f"heads.{head.name}.weights"] = weights[head.options.weights]
        identity[f"heads.{head.name}.trunk"] = weights[head.trunk]
    return identity


def _directories(heads: list[Head]) -> list[str]:
    return list(dict.fromkeys(path for head in heads for path in (head.trunk, head.options.weights)))


def weights_digest(directory: str) -> str:
    """Of the contents of `config.json` and all files with tensors."""
    return content_digest([Path(directory) / "config.json", *Checkpoint(directory).files])


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
