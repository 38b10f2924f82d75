"""Measure batches through the model runner of a rank: one at a time, or launched ahead of the results."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.benchmark.flops import trunk_flops
from jobs.benchmark.timing import Case
from model import ShardGroup, XLMRobertaXLConfig
from pipeline.batching.rank_batch import RankBatch
from pipeline.batching.token_budget_batches import plan_batches
from pipeline.heads.resolve import Head
from pipeline.replica.device_transfer import PendingOutput
from pipeline.replica.model_runner import ModelRunner
from pipeline.replica.rank_settings import RankSettings
from pipeline.replica.recovery import NUM_BATCHES_IN_FLIGHT
from pipeline.tasks.embedding import TASK, EmbeddingHead
from pipeline.tasks.requests import HeadRequest

MAX_BATCHES = 16


def shard_cases(
    model: Path, config: XLMRobertaXLConfig, lengths: Sequence[int], *, token_budget: int, dtype: str, device: str
) -> list[Case]:
    """Embeddings of random sequences of these lengths, in at most `MAX_BATCHES` batches."""
    options = EmbeddingHead.model_validate({"task": "embedding", "weights": str(model)})
    head = Head("vector", options, TASK.sequence_spec(options, config.max_num_tokens), str(model), config)
    runner = ModelRunner(
        [head], RankSettings(device, dtype, torch.get_num_threads(), config.vocab_size), ShardGroup()
    )
    chosen = [np.asarray(lengths)[batch] for batch in plan_batches(np.asarray(lengths), token_budget)]
    batches = [_batch(str(model), drawn, config) for drawn in chosen[:MAX_BATCHES]]
    num_tokens = sum(len(batch.input_ids) for batch in batches)
    flops = sum(trunk_flops(config, batch.lengths.tolist()) for batch in batches)
    waiting, ahead = (
        f"batches in {dtype}: each one waited for",
        f"batches in {dtype}: the next one launched before",
    )
    return [
        Case(waiting, partial(_run, runner, batches, 1), num_tokens, flops, "shard"),
        Case(ahead, partial(_run, runner, batches, NUM_BATCHES_IN_FLIGHT), num_tokens, flops, "shard", waiting),
    ]


def _batch(trunk: str, lengths: NDArray[np.int64], config: XLMRobertaXLConfig) -> RankBatch:
    ids = np.random.default_rng(0).integers(4, config.vocab_size, int(lengths.sum()), dtype=np.int32)
    request = HeadRequest(np.arange(len(lengths), dtype=np.int32))
    return RankBatch(trunk, ids, lengths.astype(np.int32), {"vector": request})


def _run(runner: ModelRunner, batches: Sequence[RankBatch], num_in_flight: int) -> None:
    """Launch batches, up to `num_in_flight` ahead of the results, and collect the results in order."""
    launched = deque[PendingOutput]()
    for batch in batches:
        if len(launched) == num_in_flight:
            launched.popleft().results()
        launched.append(runner.launch(batch))
    for each in launched:
        each.results()
