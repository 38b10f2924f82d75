"""Every number of the demo model's training, in one place."""

from dataclasses import asdict, dataclass
from typing import Any

from jobs.demo.languages import LANGUAGES
from model import XLMRobertaXLConfig


@dataclass(frozen=True)
class Recipe:
    """How the demo model is made; the same recipe on the same data gives the same model on the same processor.

    Attributes:
        num_pieces: of the sentencepiece model.
        character_coverage: share of the characters that have pieces of their own.
        num_steps: of the optimizer, on `tokens_per_step` tokens each.
        num_masked_lm_steps: how many of them come first and learn to fill masks alone.
        tagged_tokens, parallel_tokens: how many of these are tagged sentences and translations after that; the
            others are windows of text.
        max_window, short_windows: tokens of a window; one in two is short, as sentences are.
        language_exponent: languages are drawn in proportion to their number of tokens to this power.
        temperature: of the contrastive loss.
    """

    seed: int = 6
    num_pieces: int = 12_000
    character_coverage: float = 0.9995
    hidden_size: int = 192
    num_layers: int = 6
    num_heads: int = 6
    dropout: float = 0.0
    num_steps: int = 3000
    num_masked_lm_steps: int = 300
    tokens_per_step: int = 3712
    tagged_tokens: int = 1500
    parallel_tokens: int = 900
    max_window: int = 126
    short_windows: tuple[int, int] = (6, 40)
    num_concepts: int = 10
    max_parallel_tokens: int = 64
    language_exponent: float = 0.4
    mask_probability: float = 0.15
    temperature: float = 0.05
    language_weight: float = 1.0
    tag_weight: float = 1.0
    contrast_weight: float = 0.3
    peak_learning_rate: float = 2e-3
    num_warmup_steps: int = 200
    num_decay_steps: int = 900
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)

    def config(self, vocab_size: int) -> XLMRobertaXLConfig:
        """The model: XL's architecture, with the labels of the `language` head."""
        return XLMRobertaXLConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            intermediate_size=4 * self.hidden_size,
            hidden_dropout_prob=self.dropout,
            id2label={i: language.code for i, language in enumerate(LANGUAGES)},
            label2id={language.code: i for i, language in enumerate(LANGUAGES)},
            problem_type="single_label_classification",
        )
