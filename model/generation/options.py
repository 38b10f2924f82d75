"""The options of text generation, with the names and defaults of Transformers."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from model.config import XLMRobertaXLConfig

# The default of Transformers if neither max_length nor max_new_tokens is given.
DEFAULT_MAX_LENGTH = 20
# The released vocabulary has 250002 tokens; the embeddings were padded to 250880 rows.
RELEASED_NUM_TOKENS = 250002
RELEASED_VOCAB_SIZE = 250880


@dataclass(frozen=True)
class GenerationOptions:
    """Options of `generate`, with the names and defaults of Transformers.

    Attributes:
        max_new_tokens: maximum number of new tokens; default what is left of `max_length`.
        max_length: maximum length of prompt (with padding) and continuation; default 20.
        do_sample: sample the next token instead of taking the most probable one.
        temperature, top_k, top_p: applied in this order when sampling; `top_k=None` or 0 and `top_p=1` keep all.
        num_beams: number of beams; 1 for no beam search.
        num_return_sequences: continuations per prompt; at most `num_beams`, unless sampling.
        length_penalty: beam scores are divided by length to this power; values above 0 favour long ones.
        early_stopping: stop a prompt when `num_beams` continuations have ended (True), when a better one is
            unlikely (False), or when it is impossible ("never").
        eos_token_id: one or several ids that end a continuation; default that of the configuration.
        pad_token_id: id of the padding after the end; default that of the configuration.
        num_usable_tokens: ids from here on are never chosen; default 250002 for the released vocabulary of
            250880 rows, else all rows.
        use_cache: cache keys and values instead of recomputing the whole sequence for every token.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int | None = 50
    top_p: float = 1.0
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    eos_token_id: int | Sequence[int] | None = None
    pad_token_id: int | None = None
    num_usable_tokens: int | None = None
    use_cache: bool = True

    def __post_init__(self) -> None:
        for name in ("num_beams", "num_return_sequences"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.do_sample and self.num_beams > 1:
            raise ValueError(f"do_sample and num_beams = {self.num_beams} exclude each other")
        if not self.do_sample and self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences must be at most num_beams = {self.num_beams} without do_sample, "
                f"found {self.num_return_sequences}"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, found {self.temperature}")
        if self.top_k is not None and self.top_k < 0:
            raise ValueError(f"top_k must be at least 0, found {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], found {self.top_p}")
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(f"early_stopping must be True, False or 'never', found {self.early_stopping!r}")

    def ends(self, config: XLMRobertaXLConfig) -> list[int]:
        """The ids that end a continuation; if there are none, all continuations get the maximum length."""
        eos = config.eos_token_id if self.eos_token_id is None else self.eos_token_id
        if eos is None:
            return []
        return [eos] if isinstance(eos, int) else list(eos)

    def padding(self, config: XLMRobertaXLConfig) -> int:
        """The id of the padding after the end."""
        return config.padding_id if self.pad_token_id is None else self.pad_token_id

    def num_usable(self, config: XLMRobertaXLConfig) -> int:
        """Number of ids that may be chosen."""
        if self.num_usable_tokens is None:
            return RELEASED_NUM_TOKENS if config.vocab_size == RELEASED_VOCAB_SIZE else config.vocab_size
        if not 0 < self.num_usable_tokens <= config.vocab_size:
            raise ValueError(
                f"num_usable_tokens must be in [1, config.vocab_size = {config.vocab_size}], "
                f"found {self.num_usable_tokens}"
            )
        return self.num_usable_tokens

    def num_new_tokens(self, config: XLMRobertaXLConfig, mask_BS: Tensor) -> int:
        """Maximum number of new tokens; prompt and continuation must fit the position embeddings."""
        prompt_length = mask_BS.shape[1]
        if self.max_new_tokens is not None:
            num_new = self.max_new_tokens
        else:
            num_new = (self.max_length or DEFAULT_MAX_LENGTH) - prompt_length
        if num_new < 1:
            raise ValueError(
                f"there must be a token to generate: found a prompt of {prompt_length} tokens, max_length = "
                f"{self.max_length or DEFAULT_MAX_LENGTH}, max_new_tokens = {self.max_new_tokens}"
            )
        # Relative positions count padding too, absolute ones do not.
        is_absolute = config.position_embedding_type == "absolute"
        limit = config.max_num_tokens if is_absolute else config.max_position_embeddings
        num_prompt = int(mask_BS.sum(dim=1).max()) if is_absolute else prompt_length
        if num_prompt + num_new > limit:
            raise ValueError(
                f"prompt and continuation must hold at most {limit} tokens, found {num_prompt} + {num_new}"
            )
        return num_new
