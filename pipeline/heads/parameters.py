"""The parameters of trunks and heads, by name and shape, without building them."""

from model.layers.parameter_shapes import ParameterShape, trunk_parameters
from pipeline.heads.resolve import Head, read_config


def parameters_of_trunk(directory: str) -> list[ParameterShape]:
    """Of the trunk in a directory."""
    return trunk_parameters(read_config(directory, "trunk"))


def parameters_of_head(head: Head) -> dict[str, list[ParameterShape]]:
    """Of the head's layers, by their names in checkpoints."""
    layers = head.task.layers(head.options, head.config)
    return {name: layer.parameters(head.config, name) for name, layer in layers.items()}
