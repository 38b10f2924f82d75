"""XLM-RoBERTa-XL in torch: the classes and options of Transformers 4.26, with tensor parallelism."""

from model.checkpoints.reader import CheckpointError
from model.config import XLMRobertaXLConfig
from model.modeling_classification import (
    XLMRobertaXLForMultipleChoice,
    XLMRobertaXLForQuestionAnswering,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLForTokenClassification,
)
from model.modeling_lm import XLMRobertaXLForCausalLM, XLMRobertaXLForMaskedLM
from model.packing import PackedBatch
from model.parallel.group import ShardGroup
from model.tokenizer.batch_encoding import BatchEncoding
from model.tokenizer.tokenizer import XLMRobertaXLTokenizer
from model.trunk import XLMRobertaXLModel

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
