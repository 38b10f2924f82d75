"""Random models and inputs: every class, every option, in combinations that nobody thought of.

A case follows from the seed, the class and its number alone: `XLMR_PARITY_SEED=7` gives other cases.
"""

import os
import random
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import model
from model import XLMRobertaXLConfig
from model.tokenizer.special_tokens import IGNORE_INDEX
from tests.oracle import randomize

SEED = int(os.environ.get("XLMR_PARITY_SEED", "0"))
CLASSES = (
    "XLMRobertaXLModel",
    "XLMRobertaXLForCausalLM",
    "XLMRobertaXLForMaskedLM",
    "XLMRobertaXLForSequenceClassification",
    "XLMRobertaXLForMultipleChoice",
    "XLMRobertaXLForTokenClassification",
    "XLMRobertaXLForQuestionAnswering",
)
TAKES_ENCODER_STATES = CLASSES[:3]
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


@dataclass
class Case:
    """A model's class, its configuration, and the arguments of one forward pass."""

    class_name: str
    number: int
    config: XLMRobertaXLConfig
    options: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)

    def model(self) -> Any:
        """A model of this case with random weights, in `eval()` mode."""
        options = {k: v for k, v in self.options.items() if self.class_name == "XLMRobertaXLModel"}
        built = getattr(model, self.class_name)(self.config.copy(), **options)
        randomize(built, seed=self.number)
        return built.eval()


class CaseGenerator:
    """Draws the parts of one case."""

    def __init__(self, class_name: str, number: int, min_heads: int = 1) -> None:
        self.rng = random.Random(f"{SEED}/{class_name}/{number}")
        self.torch = torch.Generator().manual_seed(self.rng.randrange(2**31))
        self.class_name = class_name
        self.number = number
        self.min_heads = min_heads

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability

    def ids(self, high: int, *shape: int) -> Tensor:
        """Uniform integers in [0, high)."""
        return torch.randint(high, shape, generator=self.torch)

    def case(self) -> Case:
        """Everything."""
        config = self.config()
        options = {"add_pooling_layer": self.chance(0.5)}
        case = Case(self.class_name, self.number, config, options)
        case.arguments = self.inputs(config)
        self.add_labels(case)
        for name in ("output_attentions", "output_hidden_states", "return_dict"):
            if self.chance(0.5):
                case.arguments[name] = self.chance(0.5)
        wants_weights = case.arguments.get("output_attentions", config.output_attentions)
        if wants_weights and config.add_cross_attention and "encoder_hidden_states" not in case.arguments:
            # The oracle then returns caches in the place of cross-attention weights.
            case.arguments["output_attentions"] = False
        return case

    def config(self) -> XLMRobertaXLConfig:
        """A tiny model with random options."""
        rng, name = self.rng, self.class_name
        num_heads = rng.randint(self.min_heads, max(5, self.min_heads + 2))
        num_layers = rng.randint(1, 3)
        is_decoder = self.chance(0.9 if name == "XLMRobertaXLForCausalLM" else 0.25)
        values: dict[str, Any] = {
            "vocab_size": rng.randint(20, 90),
            "hidden_size": num_heads * rng.choice((4, 6, 8, 10)),
            "num_hidden_layers": num_layers,
            "num_attention_heads": num_heads,
            "intermediate_size": rng.randint(8, 50),
            "hidden_act": rng.choice(("gelu", "relu", "silu", "gelu_new", torch.tanh)),
            "max_position_embeddings": rng.randint(22, 40),
            "type_vocab_size": rng.randint(1, 3),
            "layer_norm_eps": rng.choice((1e-5, 1e-12, 1e-2)),
            "pad_token_id": rng.choice((0, 1, 5)),
            "position_embedding_type": rng.choice(("absolute", "absolute", "relative_key", "relative_key_query")),
            "use_cache": self.chance(0.7),
            "is_decoder": is_decoder,
            "add_cross_attention": is_decoder and name in TAKES_ENCODER_STATES and self.chance(0.5),
            "tie_word_embeddings": self.chance(0.7),
            "num_labels": 2 if name == "XLMRobertaXLForQuestionAnswering" else rng.randint(1, 5),
            "output_attentions": self.chance(0.2),
            "output_hidden_states": self.chance(0.2),
            "return_dict": self.chance(0.9),
            "chunk_size_feed_forward": 1 if self.chance(0.1) else 0,
        }
        if self.chance(0.25):
            most = num_heads - self.min_heads
            values["pruned_heads"] = {
                layer: rng.sample(range(num_heads), rng.randint(0, min(most, num_heads - 1)))
                for layer in rng.sample(range(num_layers), rng.randint(1, num_layers))
            }
        return XLMRobertaXLConfig(**values)

    def inputs(self, config: XLMRobertaXLConfig) -> dict[str, Any]:
        """Tokens or embeddings, masks, positions, types, encoder states."""
        batch_size, length = self.rng.randint(1, 4), self.rng.randint(1, 14)
        is_choice = self.class_name == "XLMRobertaXLForMultipleChoice"
        shape = (batch_size, self.rng.randint(1, 3), length) if is_choice else (batch_size, length)
        lengths = self.ids(length, *shape[:-1]) + 1
        keep = torch.arange(length) < lengths[..., None]
        if self.chance(0.3):
            keep = keep.flip(-1)  # padding on the left
        tokens = self.ids(config.vocab_size, *shape)
        arguments: dict[str, Any] = {}
        if self.chance(0.2):
            arguments["inputs_embeds"] = torch.randn(*shape, config.hidden_size, generator=self.torch)
        else:
            arguments["input_ids"] = torch.where(keep, tokens, config.pad_token_id)
        if self.chance(0.75):
            arguments["attention_mask"] = keep.to(self.rng.choice((torch.long, torch.float32, torch.bool)))
        if not is_choice and self.chance(0.15):
            mask = self.ids(2, batch_size, length, length) | torch.eye(length, dtype=torch.long)
            # A mask of one's own replaces the causal one; it may be causal, or not.
            arguments["attention_mask"] = mask.tril() if self.chance(0.7) else mask
        if self.chance(0.3):
            arguments["token_type_ids"] = self.ids(config.type_vocab_size, *shape)
        if self.chance(0.2):
            arguments["position_ids"] = self.ids(config.max_position_embeddings, *shape)
        if not any(config.pruned_heads.values()) and self.chance(0.25):
            mask_shape = [config.num_hidden_layers] * self.rng.randint(0, 1) + [config.num_attention_heads]
            arguments["head_mask"] = self.ids(2, *mask_shape).float()
        if config.add_cross_attention and self.chance(0.8):
            self.add_encoder_states(config, arguments, batch_size, length)
        return arguments

    def add_encoder_states(
        self, config: XLMRobertaXLConfig, arguments: dict[str, Any], batch_size: int, length: int
    ) -> None:
        """What cross-attention attends to, with no mask, a mask of its states, or one a query."""
        num_states = self.rng.randint(1, 9)
        arguments["encoder_hidden_states"] = torch.randn(
            batch_size, num_states, config.hidden_size, generator=self.torch
        )
        shapes = ((batch_size, num_states), (batch_size, length, num_states))
        if self.chance(0.6):
            mask = self.ids(2, *self.rng.choice(shapes))
            mask[..., 0] = 1
            arguments["encoder_attention_mask"] = mask

    def add_labels(self, case: Case) -> None:
        """Labels of the class's task, some of them ignored."""
        source = case.arguments.get("input_ids", case.arguments.get("inputs_embeds"))
        batch_size, length = source.shape[0], source.shape[-1 if "input_ids" in case.arguments else -2]
        config = case.config
        if case.class_name == "XLMRobertaXLModel" or self.chance(0.2):
            return
        if case.class_name.endswith("LM"):
            case.arguments["labels"] = self.some_ignored(self.ids(config.vocab_size, batch_size, length))
        elif case.class_name.endswith("TokenClassification"):
            if case.arguments.get("attention_mask", torch.ones(1, 1)).dim() == 2:
                case.arguments["labels"] = self.some_ignored(self.ids(config.num_labels, batch_size, length))
        elif case.class_name.endswith("MultipleChoice"):
            case.arguments["labels"] = self.ids(source.shape[1], batch_size)
        elif case.class_name.endswith("QuestionAnswering"):
            # Some lie outside the sequence.
            for name in ("start_positions", "end_positions"):
                case.arguments[name] = self.ids(length + 4, batch_size) - 2
        else:
            self.add_sequence_labels(case, batch_size)

    def add_sequence_labels(self, case: Case, batch_size: int) -> None:
        """Class ids, values or several labels a sequence; the problem type is set or left to be inferred."""
        config = case.config
        problem = self.rng.choice(PROBLEM_TYPES) if config.num_labels > 1 else "regression"
        if problem == "single_label_classification":
            case.arguments["labels"] = self.ids(config.num_labels, batch_size)
        elif problem == "multi_label_classification":
            case.arguments["labels"] = self.ids(2, batch_size, config.num_labels).float()
        else:
            shape = (batch_size, config.num_labels) if config.num_labels > 1 else (batch_size,)
            case.arguments["labels"] = torch.randn(shape, generator=self.torch)
        if self.chance(0.5) or (problem == "regression" and config.num_labels > 1):
            config.problem_type = problem

    def some_ignored(self, labels: Tensor) -> Tensor:
        """A third of the labels become -100."""
        return labels.masked_fill(self.ids(3, *labels.shape) == 0, IGNORE_INDEX)
