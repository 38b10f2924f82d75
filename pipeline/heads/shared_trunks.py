"""Share trunks of equal content, and refuse heads on a trunk that they were not trained with."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from model.checkpoints.reader import Checkpoint, CheckpointError, canonical
from model.modeling.checkpoint_fit import is_of_trunk
from pipeline.errors import ConfigError
from pipeline.heads.resolve import Head, read_config, trunk_field

# Options that change the results of equal weights.
_OPTIONS = ("num_attention_heads", "hidden_act", "layer_norm_eps", "pad_token_id", "is_decoder")


def share_trunks(heads: Sequence[Head]) -> list[Head]:
    """The heads, with the same path for all trunks of equal weights and options.

    Reads nothing if all is in one directory. Raises ConfigError if the weights of a head contain a trunk that
    differs from the head's trunk.
    """
    directories = dict.fromkeys(path for head in heads for path in (head.trunk, head.options.weights))
    if len(directories) == 1:
        return list(heads)
    digests: dict[str, str] = {}
    options: dict[str, tuple[object, ...]] = {}
    for head in heads:
        field = trunk_field(head.name, head.options)
        digests[head.trunk] = _digest(head.trunk, field)
        config = read_config(head.trunk, field)
        options[head.trunk] = tuple(getattr(config, name) for name in _OPTIONS)
        if head.options.weights != head.trunk:
            _require_same(head, digests[head.trunk])
    first = {(digest, options[path]): path for path, digest in reversed(digests.items())}
    return [replace(head, trunk=first[digests[head.trunk], options[head.trunk]]) for head in heads]


def _require_same(head: Head, digest: str) -> None:
    own = _digest(head.options.weights, f"heads.{head.name}.weights")
    if own not in (digest, _NOTHING):
        raise ConfigError(
            f"heads.{head.name}.trunk: the weights in {head.options.weights} come with a trunk that differs from "
            f"{head.trunk}, which the head would be put on; write trunk = {head.options.weights!r} to use its "
            "own, or leave the trunk's tensors out of that checkpoint"
        )


def _digest(directory: str, field: str) -> str:
    try:
        return trunk_digest(directory)
    except CheckpointError as error:
        raise ConfigError(f"{field}: {error}") from None


@cache
def trunk_digest(directory: str) -> str:
    """SHA-256 of names, shapes, dtypes and values of embeddings and encoder."""
    checkpoint = Checkpoint(directory)
    digest = hashlib.sha256()
    for name in sorted(checkpoint.names, key=canonical):
        if is_of_trunk(name):
            digest.update(f"{canonical(name)} {checkpoint.dtype(name)} {checkpoint.shape(name)}\n".encode())
            digest.update(checkpoint.bits(name).data)
    return digest.hexdigest()


_NOTHING = hashlib.sha256().hexdigest()
"""The digest of a checkpoint without a trunk."""
