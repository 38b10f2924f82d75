"""Load one rank's slices of trunks and heads, and run batches on them. Torch only, no Ray."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model import PackedBatch, ShardGroup, XLMRobertaXLModel
from model.checkpoints.parameters import load_parameters
from model.checkpoints.reader import Checkpoint, CheckpointError
from model.inference.quantization import Precision
from model.modeling.checkpoint_fit import refuse_missing_trunk
from pipeline.batching.rank_batch import RankBatch
from pipeline.heads.modules import HeadModules, build_head, build_trunk, head_dtypes
from pipeline.heads.resolve import Head
from pipeline.replica.device_transfer import DeviceTransfer, PendingOutput
from pipeline.replica.head_reads import BatchReads, HeadReads, num_layers_read
from pipeline.replica.rank_settings import RankSettings
from pipeline.tasks.contract import HeadStates, Prompts
from pipeline.tasks.requests import HeadRequest


class ModelRunner:
    """This rank's slices of the job's trunks and heads.

    Attributes:
        num_trunk_tokens: tokens that have gone through a trunk so far, without generated ones.
    """

    def __init__(self, heads: Sequence[Head], settings: RankSettings, group: ShardGroup) -> None:
        self.settings = settings
        self.group = group
        self.num_trunk_tokens = 0
        self._precision = Precision.named(settings.dtype)
        self._copies = DeviceTransfer(settings.device)
        self._checkpoints: dict[str, Checkpoint] = {}
        self._heads = {head.name: head for head in heads}
        # Generation uses the padded forward with a cache, which fused layers do not support.
        generating = {head.trunk for head in heads if head.task.generates}
        self._trunks: dict[str, XLMRobertaXLModel] = {}
        for path in dict.fromkeys(head.trunk for head in heads):
            self._trunks[path] = self._load_trunk(path)
            if path not in generating:
                self._trunks[path].fuse(self._precision.quantization)
        self._modules = {head.name: self._load_head(head) for head in heads}
        self._reads = {head.name: HeadReads(head, self._modules[head.name]) for head in heads}
        # Closes the files, whose mapped pages would count as this rank's memory.
        self._checkpoints.clear()

    def _checkpoint(self, path: str) -> Checkpoint:
        if path not in self._checkpoints:
            self._checkpoints[path] = Checkpoint(path)
        return self._checkpoints[path]

    def _load(self, module: nn.Module, path: str, dtype: torch.dtype, prefix: str = "") -> list[str]:
        return load_parameters(
            module, self._checkpoint(path), prefix=prefix, dtype=dtype, device=self.settings.device
        )

    def _load_trunk(self, path: str) -> XLMRobertaXLModel:
        trunk = build_trunk(path, self.group)
        refuse_missing_trunk(self._load(trunk, path, self._precision.dtype), self._checkpoint(path))
        return trunk.eval()

    def _load_head(self, head: Head) -> HeadModules:
        """The head's modules, with their weights."""
        modules = build_head(head, self._trunks[head.trunk])
        dtypes = head_dtypes(head, self._precision.dtype)
        missing = [
            name
            for prefix, module in modules.items()
            for name in self._load(module, head.options.weights, dtypes[prefix], prefix)
        ]
        if missing:
            raise CheckpointError(
                f"heads.{head.name}.weights: {head.options.weights} lacks {', '.join(missing)}; "
                "name the directory of a complete checkpoint"
            )
        return {prefix: module.eval() for prefix, module in modules.items()}

    @torch.inference_mode()
    def launch(self, batch: RankBatch) -> PendingOutput:
        """Run a batch through its trunk once, and through each head that has a request.

        On a GPU this returns before the batch is computed, except for heads that look at intermediate results
        (mask filling, generation).
        """
        self.num_trunk_tokens += len(batch.input_ids)
        if batch.generates:
            results = {name: self._generate(self._heads[name], batch, r) for name, r in batch.requests.items()}
        else:
            results = self._run_packed(batch)
        return self._copies.to_host(results)

    def _run_packed(self, batch: RankBatch) -> dict[str, tuple[Tensor, ...]]:
        trunk = self._trunks[batch.trunk]
        packed = PackedBatch.from_lengths(
            torch.from_numpy(batch.input_ids), batch.lengths.tolist(), pad_token_id=trunk.config.padding_id
        ).moved(self._copies.to_device)
        reads = {
            name: self._reads[name].of_batch(request, batch.lengths, trunk, self._copies)
            for name, request in batch.requests.items()
        }
        readers = [reader for of_head in reads.values() for reader in of_head.readers.values()]
        hidden_TD = trunk.forward_packed(packed, readers, num_layers=num_layers_read(reads.values()))
        return {
            name: self._run_head(self._heads[name], hidden_TD, packed, request, reads[name])
            for name, request in batch.requests.items()
        }

    def _run_head(
        self, head: Head, hidden_TD: Tensor, packed: PackedBatch, request: HeadRequest, reads: BatchReads
    ) -> tuple[Tensor, ...]:
        index = self._copies.to_device(torch.from_numpy(request.index))
        labels = None
        if request.labels is not None:
            labels = self._copies.to_device(torch.from_numpy(request.labels).long())
        states = HeadStates(
            hidden=hidden_TD,
            packed=packed,
            index=index,
            labels=labels,
            of_tokens=request.of_tokens,
            modules=self._modules[head.name],
            group=self.group,
            num_usable_tokens=self.settings.num_usable_tokens,
            layers=reads.rows,
            sequence=reads.sequence,
        )
        return head.task.compute(head.options, states)

    def _generate(self, head: Head, batch: RankBatch, request: HeadRequest) -> tuple[Tensor, ...]:
        assert head.task.generate is not None
        token_ids = torch.from_numpy(batch.input_ids).long().split(batch.lengths.tolist())
        prompts = Prompts(
            token_ids=[token_ids[i] for i in request.index.tolist()],
            trunk=self._trunks[head.trunk],
            config=head.config,
            modules=self._modules[head.name],
            group=self.group,
            device=self.settings.device,
            seed=batch.seed,
            num_usable_tokens=self.settings.num_usable_tokens,
        )
        return head.task.generate(head.options, prompts)
