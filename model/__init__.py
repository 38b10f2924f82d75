"""XLM-RoBERTa-XL in torch, with the classes and options of Transformers 4.26 and tensor parallelism."""

from model.checkpoints.reader import CheckpointError
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
