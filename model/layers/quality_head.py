"""The head of a COMET metric: what it reads of the trunk's layers, and its own layers."""

from model.configuration.comet import CometOptions
from model.layers.head_layers import Estimating, HeadLayer, Labelling, Mixing
from model.layers.layer_reads import LayerRead

MIX, ESTIMATOR, TAGS = "mix", "estimator", "tags"
"""Names of the layers in checkpoints."""
SENTENCE, WORDS = "sentence", "words"
"""Names of what is read."""


def quality_layers(options: CometOptions, num_hidden_layers: int) -> dict[str, HeadLayer]:
    """The layers of the head, by their names in checkpoints.

    Raises ValueError for a layer that the trunk has not.
    """
    for layer in (options.sentence_layer, options.word_layer):
        if layer is not None and layer > num_hidden_layers:
            raise ValueError(
                f"a metric that reads layer {layer}, expected one from 0 to {num_hidden_layers}, the last one"
            )
    layers: dict[str, HeadLayer] = {}
    if options.sentence_layer is None:
        layers[MIX] = Mixing(num_hidden_layers + 1)
    layers[ESTIMATOR] = Estimating(options)
    if options.num_tags:
        layers[TAGS] = Labelling(num_labels=options.num_tags, is_fp32=True)
    return layers


def quality_reads(options: CometOptions, num_hidden_layers: int) -> dict[str, LayerRead]:
    """`<s>` of the mix, or of one layer; and the tokens of the layer that is labelled."""
    if options.sentence_layer is None:
        sentence = LayerRead(tuple(range(num_hidden_layers + 1)), "cls", MIX, options.is_normalized)
    else:
        sentence = LayerRead((options.sentence_layer,), "cls")
    if options.word_layer is None:
        return {SENTENCE: sentence}
    return {SENTENCE: sentence, WORDS: LayerRead((options.word_layer,), "token")}
