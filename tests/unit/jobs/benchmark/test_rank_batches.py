from pathlib import Path

import pytest

from jobs.benchmark.rank_batches import MAX_BATCHES, shard_cases
from pipeline.batching.rank_batch import RankBatch
from pipeline.heads.resolve import read_config
from pipeline.replica.model_runner import ModelRunner
from tests.unit.pipeline.compute_fixtures import tiny_checkpoint


@pytest.mark.parametrize(("num_sequences", "num_batches"), [(1, 1), (9, 3), (100, MAX_BATCHES)])
def test_both_cases_compute_every_batch(
    num_sequences: int, num_batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three sequences of ten tokens fill a batch of thirty."""
    directory = tiny_checkpoint(tmp_path)
    config = read_config(str(directory), "model.path")
    waiting, ahead = shard_cases(
        directory, config, [10] * num_sequences, token_budget=30, dtype="float32", device="cpu"
    )
    assert ahead.baseline == waiting.name
    assert waiting.num_tokens == ahead.num_tokens == 10 * min(num_sequences, 3 * num_batches)
    assert waiting.flops == ahead.flops > 0
    events: list[str] = []
    launch = ModelRunner.launch

    class Seen:
        def __init__(self, shard: ModelRunner, batch: RankBatch) -> None:
            events.append("launch")
            self._launched = launch(shard, batch)

        def results(self) -> object:
            events.append("collect")
            return self._launched.results()

    def launch_and_see(shard: ModelRunner, batch: RankBatch) -> Seen:
        return Seen(shard, batch)

    monkeypatch.setattr(ModelRunner, "launch", launch_and_see)
    waiting.run()
    assert events == ["launch", "collect"] * num_batches
    events.clear()
    ahead.run()
    # Two at a time.
    in_between = ["collect", "launch"] * max(0, num_batches - 2)
    assert events == ["launch"] * min(2, num_batches) + in_between + ["collect"] * min(2, num_batches)
