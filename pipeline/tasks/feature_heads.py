"""Heads on features of a frozen trunk: what classification of texts and of tokens has in common for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.tasks.contract import HeadStates

if TYPE_CHECKING:
    from torch import Tensor

    from model import XLMRobertaXLConfig
    from model.layers.feature_head import FeatureHead
    from pipeline.tasks.contract import HeadLayers, LayerReads

_FEATURES = "features"


def feature_head_of(config: XLMRobertaXLConfig) -> FeatureHead | None:
    """The head of this kind that a configuration describes. Raises ValueError for one that is wrong."""
    from model.layers.feature_head import FeatureHead  # noqa: PLC0415

    return FeatureHead.of(config)


def feature_reads(_: object, config: XLMRobertaXLConfig) -> LayerReads:
    """What such a head reads; nothing for other heads."""
    head = feature_head_of(config)
    return {} if head is None else {_FEATURES: head.read}


def feature_layers(head: FeatureHead) -> HeadLayers:
    """Its layers: the weights of its mix, if it has one, and its dense layers."""
    from model.layers.feature_head import CLASSIFIER, MIX  # noqa: PLC0415
    from model.layers.head_layers import FeatureClassifying, Mixing  # noqa: PLC0415

    mix = {MIX: Mixing(len(head.layers))} if len(head.layers) > 1 else {}
    return {**mix, CLASSIFIER: FeatureClassifying(head)}


def compute_logits(_: object, states: HeadStates) -> tuple[Tensor, ...]:
    """Logits of the requested sequences or tokens, fp32; NaN where a state is not finite."""
    if not states.layers:
        return states.through_modules()
    from model.layers.feature_head import CLASSIFIER  # noqa: PLC0415

    features_ND = states.layers[_FEATURES]
    # An activation would turn infinity, and relu also NaN of some devices, into a number.
    is_finite = features_ND.isfinite().all(dim=-1, keepdim=True)
    logits_NL = states.modules[CLASSIFIER](features_ND.float()).float()
    return (logits_NL.masked_fill(~is_finite, math.nan),)


def check_pooling(config: XLMRobertaXLConfig, *, of_tokens: bool) -> None:
    """Raise ConfigError for a head that was fitted for another task."""
    head = feature_head_of(config)
    if head is None or (head.pooling == "token") == of_tokens:
        return
    fitted, remedy = (
        ("texts", 'task = "text-classification"') if of_tokens else ("words", 'task = "token-classification"')
    )
    raise ConfigError(
        f"feature_head.pooling: found '{head.pooling}', a head that was fitted on {fitted}, expected "
        f"{'token' if of_tokens else 'mean, cls or max'}; write {remedy}"
    )
