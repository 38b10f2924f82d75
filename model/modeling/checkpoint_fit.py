"""Check the shapes of a checkpoint's tensors against its configuration, from the headers of the files."""

import re
from collections.abc import Iterator, Mapping, Sequence

from model.checkpoints.errors import CheckpointError
from model.checkpoints.reader import Checkpoint, canonical
from model.checkpoints.tensor_files import StoredTensors
from model.config import XLMRobertaXLConfig

# Patterns of tensor names, and the option that gives the size of each axis; hidden_size for all others.
_OPTIONS = {
    r"embeddings\.word_embeddings\.weight|lm_head\.decoder\.weight": ("vocab_size", "hidden_size"),
    r"lm_head\.(decoder\.)?bias": ("vocab_size",),
    r"embeddings\.position_embeddings\.weight": ("max_position_embeddings", "hidden_size"),
    r"embeddings\.token_type_embeddings\.weight": ("type_vocab_size", "hidden_size"),
    r".*\.attention\.self\.(query|key|value)\.(weight|bias)": ("pruned_heads", "hidden_size"),
    r".*\.attention\.output\.dense\.weight": ("hidden_size", "pruned_heads"),
    r".*\.intermediate\.dense\.(weight|bias)": ("intermediate_size", "hidden_size"),
    r"encoder\.layer\.\d+\.output\.dense\.weight": ("hidden_size", "intermediate_size"),
    r"(classifier\.out_proj|classifier|qa_outputs)\.(weight|bias)": ("num_labels", "hidden_size"),
}
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")
# The configuration has defaults for values that are not in the file.
_REMEDY = "correct config.json, whose missing values are defaults, or name the checkpoint that it belongs to"


def refuse_misfit(config: XLMRobertaXLConfig, expected: Mapping[str, list[int]], stored: StoredTensors) -> None:
    """Compare shapes; missing tensors are not checked here.

    Args:
        expected: the full shape by every name that a parameter may be stored under.

    Raises:
        CheckpointError: a tensor has another shape; the message names it and the options that determine its shape.
    """
    stored_names = {canonical(name): name for name in stored.names}
    misfits = [
        (stored_names[canonical(name)], shape, found)
        for name, shape in expected.items()
        if canonical(name) in stored_names and (found := stored.shape(stored_names[canonical(name)])) != shape
    ]
    if not misfits:
        return
    reasons: dict[str, str] = {}
    for misfit in misfits:
        for option, reason in _reasons(config, *misfit):
            reasons.setdefault(option, reason)
    if "hidden_size" in reasons:
        # The head size follows from it.
        reasons.pop("pruned_heads", None)
    name, shape, found = misfits[0]
    told = f": {'; '.join(reasons.values())}" if reasons else ""
    raise CheckpointError(f"tensor {name} must be {shape}, found {found}{told}; {_REMEDY}")


def _reasons(
    config: XLMRobertaXLConfig, name: str, expected: Sequence[int], found: Sequence[int]
) -> Iterator[tuple[str, str]]:
    """For each size that differs, the option that determines it and a description of both values."""
    options = next((o for pattern, o in _OPTIONS.items() if re.fullmatch(pattern, canonical(name))), None)
    for option, wanted, size in zip(options or ("hidden_size",) * 2, expected, found, strict=False):
        if wanted == size:
            continue
        if option == "pruned_heads":
            heads = f"{wanted / config.head_size:g} heads in a layer, the weights hold {size / config.head_size:g}"
            yield option, f"pruned_heads in the configuration leaves {heads}"
        elif getattr(config, option) == wanted:
            yield option, f"{option} is {wanted} in the configuration and {size} in the weights"


def refuse_other_layers(config: XLMRobertaXLConfig, names: Sequence[str]) -> None:
    """Refuse an encoder whose number of stored layers differs from the configuration.

    Raises:
        CheckpointError: names `num_hidden_layers`, or `position_embedding_type` if embeddings of relative
            positions would not be read. A checkpoint without any layers is not refused here.
    """
    layers = {int(match[1]) for name in names if (match := _LAYER.match(canonical(name)))}
    if layers and max(layers) + 1 != config.num_hidden_layers:
        raise CheckpointError(
            f"num_hidden_layers is {config.num_hidden_layers} in the configuration and {max(layers) + 1} in the "
            f"weights; {_REMEDY}"
        )
    if config.position_embedding_type == "absolute":
        for name in names:
            if name.endswith("self.distance_embedding.weight"):
                raise CheckpointError(
                    f"position_embedding_type is 'absolute' in the configuration, and the weights hold {name}, "
                    f"which belongs to relative positions; {_REMEDY}"
                )


def refuse_missing_trunk(missing: list[str], checkpoint: Checkpoint) -> None:
    """Raise CheckpointError if embeddings or encoder are incomplete; heads and pooler may be missing."""
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
    """Whether a tensor belongs to the embeddings or the encoder, and not to a head or the pooler."""
    return canonical(name).startswith(("embeddings.", "encoder."))
