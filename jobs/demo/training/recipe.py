"""All hyperparameters of the training of the demo model."""

from dataclasses import dataclass, replace

from jobs.demo.training.languages import LANGUAGES
from model import XLMRobertaXLConfig


@dataclass(frozen=True)
class Phase:
    """The contents of batches from `first_step` on; the other tokens of a batch are windows of text.

    Attributes:
        tagged_tokens: tokens of sentences with part-of-speech tags.
        num_concepts, parallel_tokens: sentences with at least one translation, and their tokens.
        masked_lm, language, tags, contrast: weights of the losses.
        has_dropout: on once sentences begin to repeat.
    """

    first_step: int
    tagged_tokens: int = 0
    num_concepts: int = 0
    parallel_tokens: int = 0
    masked_lm: float = 1.0
    language: float = 0.0
    tags: float = 0.0
    contrast: float = 0.0
    has_dropout: bool = False

    @property
    def has_heads(self) -> bool:
        """Whether other heads than the masked LM are trained."""
        return self.num_concepts > 0


_HEADS = Phase(100, tagged_tokens=1700, num_concepts=9, parallel_tokens=800, masked_lm=0.5, language=1.0, tags=1.5)
_CONTRAST = replace(_HEADS, first_step=400, contrast=0.3)
_MORE = replace(
    _CONTRAST, first_step=750, tagged_tokens=1900, parallel_tokens=900, masked_lm=0.4, language=1.5, tags=2.5
)
_DROPOUT = replace(_MORE, first_step=3000, has_dropout=True)
_TAGS = replace(
    _DROPOUT, first_step=4500, tagged_tokens=2300, num_concepts=6, parallel_tokens=500, language=1.0, tags=4.0
)
PHASES = (Phase(0), _HEADS, _CONTRAST, _MORE, _DROPOUT, _TAGS)


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters; the same recipe on the same data and the same processor gives the same model.

    Attributes:
        num_pieces: vocabulary size of the sentencepiece model.
        character_coverage: share of the characters that get their own pieces.
        num_steps: optimizer steps, on `tokens_per_step` tokens each.
        phases: contents of the batches; the first has masked tokens only.
        max_parallel_tokens: maximum tokens of a sentence with translations.
        language_exponent: windows are drawn with probabilities proportional to tokens per language to this power.
        embedding_gain: factor applied to the initial word embeddings.
        max_window, short_windows: tokens per window; every second window is short, like a sentence.
        temperature: of the contrastive loss.
    """

    seed: int = 6
    num_pieces: int = 18_000
    character_coverage: float = 0.9995
    hidden_size: int = 192
    num_layers: int = 4
    num_heads: int = 6
    dropout: float = 0.1
    num_steps: int = 11_000
    tokens_per_step: int = 3712
    phases: tuple[Phase, ...] = PHASES
    language_exponent: float = 0.3
    embedding_gain: float = 3.5
    max_window: int = 126
    short_windows: tuple[int, int] = (6, 40)
    max_parallel_tokens: int = 64
    mask_probability: float = 0.15
    temperature: float = 0.05
    peak_learning_rate: float = 1.5e-3
    num_warmup_steps: int = 60
    num_decay_steps: int = 4000
    weight_decay: float = 0.05
    max_gradient_norm: float = 1.0

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return [phase for phase in self.phases if phase.first_step <= step][-1]

    def config(self, vocab_size: int) -> XLMRobertaXLConfig:
        """A small model of the XL architecture, with the labels of the `language` head."""
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
