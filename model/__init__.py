"""XLM-RoBERTa-XL in torch, with the classes and options of Transformers 4.26 and tensor parallelism.

Names are imported when they are first used, as configurations and tokenizers do without torch, which loads slowly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.checkpoints.errors import CheckpointError
    from model.config import XLMRobertaXLConfig
    from model.modeling.classifiers import (
        XLMRobertaXLForMultipleChoice,
        XLMRobertaXLForQuestionAnswering,
        XLMRobertaXLForSequenceClassification,
        XLMRobertaXLForTokenClassification,
    )
    from model.modeling.language_models import XLMRobertaXLForCausalLM, XLMRobertaXLForMaskedLM
    from model.modeling.trunk import XLMRobertaXLModel
    from model.packing import PackedBatch
    from model.parallel.group import ShardGroup
    from model.tokenizer.batch_encoding import BatchEncoding
    from model.tokenizer.tokenizer import XLMRobertaXLTokenizer

__all__ = [
    "BatchEncoding",
    "CheckpointError",
    "PackedBatch",
    "ShardGroup",
    "XLMRobertaXLConfig",
    "XLMRobertaXLForCausalLM",
    "XLMRobertaXLForMaskedLM",
    "XLMRobertaXLForMultipleChoice",
    "XLMRobertaXLForQuestionAnswering",
    "XLMRobertaXLForSequenceClassification",
    "XLMRobertaXLForTokenClassification",
    "XLMRobertaXLModel",
    "XLMRobertaXLTokenizer",
]
_MODULES = {
    "model.checkpoints.errors": ("CheckpointError",),
    "model.config": ("XLMRobertaXLConfig",),
    "model.modeling.classifiers": (
        "XLMRobertaXLForMultipleChoice",
        "XLMRobertaXLForQuestionAnswering",
        "XLMRobertaXLForSequenceClassification",
        "XLMRobertaXLForTokenClassification",
    ),
    "model.modeling.language_models": ("XLMRobertaXLForCausalLM", "XLMRobertaXLForMaskedLM"),
    "model.modeling.trunk": ("XLMRobertaXLModel",),
    "model.packing": ("PackedBatch",),
    "model.parallel.group": ("ShardGroup",),
    "model.tokenizer.batch_encoding": ("BatchEncoding",),
    "model.tokenizer.tokenizer": ("XLMRobertaXLTokenizer",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
