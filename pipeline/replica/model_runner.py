"""One rank's slices of trunks and heads, and what it does with a batch. Torch only: no Ray here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model import PackedBatch, ShardGroup, XLMRobertaXLForCausalLM, XLMRobertaXLModel
from model.checkpoints.reader import Checkpoint, CheckpointError, load_parameters
from model.layers.heads import LMHead, pool_max, pool_mean
from model.layers.vocab_top_k import vocab_parallel_top_k
from model.modeling.loading import refuse_missing_trunk
from pipeline.batching.shard_batch import HeadRequest, ShardBatch
from pipeline.heads.modules import HeadModules, build_head, build_trunk
from pipeline.heads.resolve import Head
from pipeline.precision import Precision
from pipeline.replica.device_transfer import Copies, Launched
from pipeline.replica.logits_watch import LogitsWatch
from pipeline.tasks.all_tasks import (
    CausalLMLossHead,
    EmbeddingHead,
    FillMaskHead,
    MaskedLMLossHead,
    QuestionAnsweringHead,
    TextGenerationHead,
    TokenClassificationHead,
)


@dataclass(frozen=True)
class ShardSettings:
    """Where and in which precision a rank computes.

    Attributes:
        device: "cpu" or "cuda".
        dtype: name of the torch dtype of the weights; or "int8" or "float8", which the layers' products are in.
        num_threads: of torch on the CPU.
        num_usable_tokens: tokens that the tokenizer knows; ids from here on are never predicted.
    """

    device: str
    dtype: str
    num_threads: int
    num_usable_tokens: int

    @property
    def precision(self) -> Precision:
        """What `dtype` means."""
        return Precision.named(self.dtype)


class Shard:
    """The distinct trunks of a job and the heads on them, as far as this rank holds them.

    Attributes:
        unused: by directory, stored tensors that neither trunk nor heads took.
        num_trunk_tokens: tokens that have passed a trunk since the start, those generated left out.
    """

    def __init__(self, heads: Sequence[Head], settings: ShardSettings, group: ShardGroup) -> None:
        self.settings = settings
        self.group = group
        self.num_trunk_tokens = 0
        self._copies = Copies(settings.device)
        self._checkpoints: dict[str, Checkpoint] = {}
        self._heads = {head.name: head for head in heads}
        # Generation steps through the padded forward with a cache, which fused layers do not have.
        generating = {head.trunk for head in heads if isinstance(head.options, TextGenerationHead)}
        self._trunks: dict[str, XLMRobertaXLModel] = {}
        for path in dict.fromkeys(head.trunk for head in heads):
            self._trunks[path] = self._load_trunk(path)
            if path not in generating:
                self._trunks[path].fuse(settings.precision.quantization)
        self._modules = {head.name: self._load_head(head) for head in heads}
        self.unused = {path: c.unused for path, c in self._checkpoints.items() if c.unused}
        # Closes the files: what was read has been copied, and mapped pages would count as this rank's memory.
        self._checkpoints.clear()

    def _checkpoint(self, path: str) -> Checkpoint:
        if path not in self._checkpoints:
            self._checkpoints[path] = Checkpoint(path)
        return self._checkpoints[path]

    def _load(self, module: nn.Module, path: str, prefix: str = "") -> list[str]:
        return load_parameters(
            module,
            self._checkpoint(path),
            prefix=prefix,
            dtype=self.settings.precision.dtype,
            device=self.settings.device,
        )

    def _load_trunk(self, path: str) -> XLMRobertaXLModel:
        trunk = build_trunk(path, self.group)
        refuse_missing_trunk(self._load(trunk, path), self._checkpoint(path))
        return trunk.eval()

    def _load_head(self, head: Head) -> HeadModules:
        """The head's modules with their weights."""
        modules = build_head(head, self._trunks[head.trunk])
        missing = [
            name for prefix, module in modules.items() for name in self._load(module, head.options.weights, prefix)
        ]
        if missing:
            raise CheckpointError(
                f"heads.{head.name}.weights: {head.options.weights} lacks {', '.join(missing)}; "
                "name the directory of a complete checkpoint"
            )
        return {prefix: module.eval() for prefix, module in modules.items()}

    @torch.inference_mode()
    def launch(self, batch: ShardBatch) -> Launched:
        """Pass a batch through its trunk once, and each head over what it is asked for.

        A GPU has only begun when this returns, and may have others before it; a CPU is done. Heads that look at
        what they have computed (masks that are filled, generation) wait for it on a GPU, too.

        Returns:
            whose results are, by head, a tuple of arrays with a first axis as long as the request's index: logits
            fp32, embeddings fp32, negative log likelihoods in nats; token ids int64 and their log probabilities
            for masks; generated ids int64, how many of them count, and whether all logits of these were finite.
        """
        self.num_trunk_tokens += len(batch.input_ids)
        if batch.generates:
            results = {name: self._generate(self._heads[name], batch, r) for name, r in batch.requests.items()}
        else:
            results = self._run_packed(batch)
        return self._copies.to_host(results)

    def _run_packed(self, batch: ShardBatch) -> dict[str, tuple[Tensor, ...]]:
        trunk = self._trunks[batch.trunk]
        packed = PackedBatch.from_lengths(
            torch.from_numpy(batch.input_ids),
            batch.lengths.tolist(),
            pad_token_id=trunk.config.padding_id,
        ).moved(self._copies.to_device)
        hidden_TD = trunk.forward_packed(packed)
        return {
            name: self._run_head(self._heads[name], hidden_TD, packed, request)
            for name, request in batch.requests.items()
        }

    def _run_head(
        self, head: Head, hidden_TD: Tensor, packed: PackedBatch, request: HeadRequest
    ) -> tuple[Tensor, ...]:
        modules = self._modules[head.name]
        index = self._copies.to_device(torch.from_numpy(request.index))
        match head.options:
            case MaskedLMLossHead() | CausalLMLossHead():
                assert request.labels is not None
                labels = self._copies.to_device(torch.from_numpy(request.labels).long())
                return (_lm_head(modules).nll(hidden_TD[index], labels),)
            case FillMaskHead():
                return self._fill_masks(_lm_head(modules), hidden_TD[index], head.options.top_k)
            case EmbeddingHead(level="token"):
                return (hidden_TD[index].float(),)
            case EmbeddingHead(pooling="mean"):
                return (pool_mean(hidden_TD, packed, index),)
            case EmbeddingHead(pooling="max"):
                return (pool_max(hidden_TD, packed, index),)
        takes_tokens = isinstance(head.options, TokenClassificationHead | QuestionAnsweringHead)
        states = hidden_TD[index if takes_tokens else packed.first_positions[index]]
        is_finite = states.isfinite().all(dim=-1, keepdim=True)
        for module in modules.values():
            states = module(states)
        # The tanh of classifier and pooler makes 1 of infinity.
        return (states.float().masked_fill(~is_finite, torch.nan),)

    def _fill_masks(self, lm_head: LMHead, hidden_ND: Tensor, k: int) -> tuple[Tensor, ...]:
        return vocab_parallel_top_k(
            lm_head.transform(hidden_ND),
            lm_head.decoder.weight,
            lm_head.decoder.bias,
            self.group,
            lm_head.decoder.shards["weight"],
            k=k,
            num_usable=self.settings.num_usable_tokens,
        )

    def _generate(self, head: Head, batch: ShardBatch, request: HeadRequest) -> tuple[Tensor, ...]:
        """Continuations `[n, max_new_tokens]`, padded; the number of tokens of each before its end; and whether it
        is made of finite logits."""
        options = head.options
        assert isinstance(options, TextGenerationHead)
        pad = head.config.padding_id
        end = pad if head.config.eos_token_id is None else head.config.eos_token_id
        prompts = torch.from_numpy(batch.input_ids).long().split(batch.lengths.tolist())
        chosen = [prompts[i] for i in request.index.tolist()]
        input_ids = nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=pad).to(self.settings.device)
        lengths = torch.tensor([len(prompt) for prompt in chosen], device=input_ids.device)
        watch = LogitsWatch(self.settings.num_usable_tokens, end)
        output = self._causal_model(head).generate(
            input_ids,
            torch.arange(input_ids.shape[1], device=input_ids.device) < lengths[:, None],
            seed=batch.seed,
            process_logits=watch,
            max_new_tokens=options.max_new_tokens,
            num_usable_tokens=self.settings.num_usable_tokens,
            **generation_options(options),
        )
        new_ids = output[:, input_ids.shape[1] :]
        new_ids = nn.functional.pad(new_ids, (0, options.max_new_tokens - new_ids.shape[1]), value=end)
        is_end = new_ids.eq(end) | new_ids.eq(pad)
        num_tokens = is_end.int().cummax(dim=1).values.eq(0).sum(dim=1)
        return new_ids, num_tokens, watch.is_finite(num_tokens, options.num_beams)

    def _causal_model(self, head: Head) -> XLMRobertaXLForCausalLM:
        """The trunk and its head as one model; it holds no weights of its own."""
        with torch.device("meta"):
            model = XLMRobertaXLForCausalLM(self._trunks[head.trunk].config, group=self.group)
        model.roberta, model.lm_head = self._trunks[head.trunk], _lm_head(self._modules[head.name])
        return model.eval()


def _lm_head(modules: HeadModules) -> LMHead:
    module = modules["lm_head"]
    assert isinstance(module, LMHead)
    return module


def generation_options(options: TextGenerationHead) -> dict[str, Any]:
    """Arguments of `generate`: sampling where a temperature is set, else greedy or beam search."""
    if options.temperature:
        return {
            "do_sample": True,
            "temperature": options.temperature,
            "top_k": options.top_k,
            "top_p": 1.0 if options.top_p is None else options.top_p,
        }
    return {"num_beams": options.num_beams}
