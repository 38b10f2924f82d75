"""What a head reads of the trunk's layers: declared without torch, so that a job can be checked and planned.

Layers are counted as in `hidden_states`: 0 is the embeddings, `num_hidden_layers` the last layer, normalised.
"""

from dataclasses import dataclass
from typing import Literal

LayerPooling = Literal["token", "cls", "mean", "max"]


@dataclass(frozen=True)
class LayerRead:
    """One matrix of states in fp32: those of a layer, or of a mix of layers, `gamma * sum_i w_i h_i`.

    Attributes:
        layers: the layers, ascending; one unless they are mixed.
        pooling: "token" for the states of the requested tokens. Otherwise one state for each sequence with a
            request: that of `<s>` ("cls"), or the mean or maximum over all of its tokens.
        mix: the name of the head's `LayerMix` with a weight for each of `layers`; None without a mix.
        is_normalized: subtract the mean of each layer, and divide by its standard deviation, over all tokens and
            dimensions of a sequence, before it is pooled and mixed (`layer_norm` of COMET).
    """

    layers: tuple[int, ...]
    pooling: LayerPooling
    mix: str | None = None
    is_normalized: bool = False

    def __post_init__(self) -> None:
        assert self.layers == tuple(sorted(set(self.layers))), "layers are ascending"
        assert self.mix is not None or len(self.layers) == 1, "several layers need a mix"
        assert self.mix is None or self.pooling != "max", "the maximum of a mix is no mix of maxima"
