"""Beam search, scored as in Transformers: log-probability divided by a power of the number of new tokens.

Shape suffixes: P prompts, K beams, V vocabulary; rows are prompts times beams.
"""

from dataclasses import dataclass, field

from torch import Tensor

from model.generation.incremental_decoder import Decoder
from model.generation.options import GenerationOptions

# Score of all beams but the first at the first step, where the beams of a prompt are equal.
_NEVER = -1e9


@dataclass
class PromptBeams:
    """The open beams of one prompt, and its best finished continuations.

    Attributes:
        beams: log-probability and tokens of each open beam.
        ended: score and tokens (with the end token) of at most `num_beams` finished continuations.
    """

    options: GenerationOptions
    ends: list[int]
    padding: int
    max_new_tokens: int
    is_done: bool = False
    beams: list[tuple[float, list[int]]] = field(default_factory=list)
    ended: list[tuple[float, list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.beams = [(0.0 if k == 0 else _NEVER, []) for k in range(self.options.num_beams)]

    @property
    def num_candidates(self) -> int:
        """Enough candidates to continue all beams even if the best ones are end tokens."""
        return max(2, 1 + len(self.ends)) * self.options.num_beams

    def advance(self, candidates: list[tuple[float, int, int]]) -> list[tuple[int, int]]:
        """Choose among candidates (log-probability, beam, token), best first.

        Returns:
            for each open beam, the beam that it continues and the next token.
        """
        num_beams = self.options.num_beams
        if self.is_done:
            return [(0, self.padding)] * num_beams
        moves, beams = [], []
        for rank, (log_prob, beam, token) in enumerate(candidates):
            tokens = [*self.beams[beam][1], token]
            if token not in self.ends:
                moves.append((beam, token))
                beams.append((log_prob, tokens))
            elif rank < num_beams:
                self._keep(log_prob, tokens)
            if len(moves) == num_beams:
                break
        self.beams = beams
        self.is_done = self._cannot_improve(candidates[0][0], len(beams[0][1]))
        return moves

    def best(self) -> list[list[int]]:
        """The `num_return_sequences` best continuations, best first, including open beams if not done."""
        if not self.is_done:
            for log_prob, tokens in self.beams:
                self._keep(log_prob, tokens)
        best_first = sorted(self.ended, key=lambda entry: -entry[0])
        return [tokens for _, tokens in best_first[: self.options.num_return_sequences]]

    def _keep(self, log_prob: float, tokens: list[int]) -> None:
        self.ended.append((log_prob / len(tokens) ** self.options.length_penalty, tokens))
        if len(self.ended) > self.options.num_beams:
            self.ended.remove(min(self.ended, key=lambda entry: entry[0]))

    def _cannot_improve(self, best_log_prob: float, length: int) -> bool:
        """Whether no open beam can (or, by the heuristic, will) beat the worst finished continuation."""
        options = self.options
        if len(self.ended) < options.num_beams:
            return False
        if options.early_stopping is True:
            return True
        if options.early_stopping == "never" and options.length_penalty > 0:
            length = self.max_new_tokens
        worst = min(score for score, _ in self.ended)
        return worst >= best_log_prob / length**options.length_penalty


def beam_search(decoder: Decoder, prompt_ids: Tensor, options: GenerationOptions, num_new_tokens: int) -> Tensor:
    """The best continuations of each prompt, `[P * num_return_sequences, up to num_new_tokens]`.

    Args:
        prompt_ids: `[P * K, length]`, each prompt repeated for every beam.
    """
    config, num_beams = decoder.model.config, options.num_beams
    padding = options.padding(config)
    prompts = [
        PromptBeams(options, options.ends(config), padding, num_new_tokens)
        for _ in range(len(prompt_ids) // num_beams)
    ]
    new_ids = prompt_ids
    for _ in range(num_new_tokens):
        candidates = _best_candidates(decoder.next_logits(new_ids).log_softmax(dim=-1), prompts)
        moves = [prompt.advance(c) for prompt, c in zip(prompts, candidates, strict=True)]
        if all(prompt.is_done for prompt in prompts):
            break
        new_ids = prompt_ids.new_tensor([[token] for beams in moves for _, token in beams])
        decoder.select(
            prompt_ids.new_tensor([p * num_beams + k for p, beams in enumerate(moves) for k, _ in beams])
        )
    chosen = [tokens for prompt in prompts for tokens in prompt.best()]
    longest = max(len(tokens) for tokens in chosen)
    return prompt_ids.new_tensor([tokens + [padding] * (longest - len(tokens)) for tokens in chosen])


def _best_candidates(log_probs_rows_V: Tensor, prompts: list[PromptBeams]) -> list[list[tuple[float, int, int]]]:
    """For each prompt the best candidates (log-probability, beam, token), best first."""
    vocab_size = log_probs_rows_V.shape[-1]
    scores_PK = log_probs_rows_V.new_tensor([[score for score, _ in p.beams] for p in prompts])
    totals_PKV = log_probs_rows_V.view(*scores_PK.shape, vocab_size) + scores_PK[..., None]
    best = totals_PKV.flatten(1).topk(prompts[0].num_candidates, dim=1)
    return [
        [(score, index // vocab_size, index % vocab_size) for score, index in zip(scores, indices, strict=True)]
        for scores, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
