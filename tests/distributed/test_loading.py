"""Each rank reads its own slices, no more, and new parameters agree between ranks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model import (
    ShardGroup,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForTokenClassification,
    XLMRobertaXLModel,
)
from model.checkpoints.reader import Checkpoint
from model.parallel.shard import Shard
from tests.checkpoints import write_random_checkpoint
from tests.distributed.processes import run_on_ranks
from tests.distributed.slices import assert_same_parameters

CONFIG = {
    "vocab_size": 123,
    "hidden_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 7,
    "intermediate_size": 70,
    "max_position_embeddings": 20,
}


class _CountingCheckpoint(Checkpoint):
    """Adds up the elements that the file hands out."""

    num_elements: int
    num_sharded_elements: int

    def read(self, name: str, shard: Shard | None = None) -> Tensor:
        tensor = super().read(name, shard)
        type(self).num_elements += tensor.numel()
        if shard is not None:
            type(self).num_sharded_elements += tensor.numel()
        return tensor


def _load(group: ShardGroup, directory: Path, cls: Any, dtype: torch.dtype) -> None:
    whole = cls.from_pretrained(directory, dtype=dtype)
    sharded = cls.from_pretrained(directory, group=group, dtype=dtype)
    assert sharded.dtype == dtype
    assert not sharded.load_report.new
    assert sharded.load_report.unused == whole.load_report.unused
    assert_same_parameters(sharded, whole)
    for name, parameter in sharded.named_parameters():
        assert parameter.is_contiguous(), name
        assert parameter.untyped_storage().nbytes() == parameter.numel() * dtype.itemsize, name


def _count(group: ShardGroup, directory: Path) -> tuple[int, int, int]:
    # The patched name lives in this process only.
    import model.modeling.loading  # noqa: PLC0415

    _CountingCheckpoint.num_elements = _CountingCheckpoint.num_sharded_elements = 0
    model.modeling.loading.Checkpoint = _CountingCheckpoint  # type: ignore[misc]
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(directory, group=group)
    held = sum(p.numel() for p in loaded.parameters())
    return held, _CountingCheckpoint.num_elements, _CountingCheckpoint.num_sharded_elements


def _new_head(group: ShardGroup, directory: Path) -> tuple[list[str], Tensor, Tensor]:
    # Ranks that were seeded differently still have to agree.
    torch.manual_seed(group.rank)
    loaded = XLMRobertaXLForTokenClassification.from_pretrained(directory, group=group, num_labels=5)
    random = XLMRobertaXLModel(loaded.config, group=group)
    embeddings = group.all_gather(random.embeddings.word_embeddings.weight.detach(), 0, loaded.config.vocab_size)
    return loaded.load_report.new, loaded.classifier.weight.detach().clone(), embeddings


def _options_of_loading_and_saving(group: ShardGroup, directory: Path, out: Path) -> None:
    torch.manual_seed(group.rank)
    whole = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    given = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    sharded = XLMRobertaXLForMaskedLM.from_pretrained(None, config=whole.config, state_dict=given, group=group)
    assert_same_parameters(sharded, whole)
    for excluded in (False, True):
        assert sharded.num_parameters(exclude_embeddings=excluded) == whole.num_parameters(False, excluded)
    sharded.save_pretrained(out, state_dict={**given, "lm_head.dense.bias": torch.ones(CONFIG["hidden_size"])})
    assert XLMRobertaXLForMaskedLM.from_pretrained(out).lm_head.dense.bias.eq(1).all()
    larger: dict[str, Any] = {"vocab_size": CONFIG["vocab_size"] + 10, "ignore_mismatched_sizes": True}
    loaded, info = XLMRobertaXLForMaskedLM.from_pretrained(
        directory, group=group, output_loading_info=True, **larger
    )
    rows = group.all_gather(loaded.get_input_embeddings().weight.detach(), 0, larger["vocab_size"])
    assert [(name, tuple(shape)) for name, _, shape in info["mismatched_keys"]] == [
        ("lm_head.bias", (133,)),
        ("roberta.embeddings.word_embeddings.weight", tuple(rows.shape)),
    ]
    assert rows.std().item() == pytest.approx(loaded.config.initializer_range, rel=0.1)


@pytest.mark.parametrize("cls", [XLMRobertaXLForMaskedLM, XLMRobertaXLModel])
@pytest.mark.parametrize(
    ("num_ranks", "dtype"), [(2, torch.float32), pytest.param(4, torch.bfloat16, marks=pytest.mark.slow)]
)
def test_parameters_are_slices_of_the_checkpoint(
    tmp_path: Path, cls: Any, num_ranks: int, dtype: torch.dtype
) -> None:
    heads = frozenset({"lm_head", "classifier", "pooler"})
    write_random_checkpoint(tmp_path, XLMRobertaXLConfig(**CONFIG), heads=heads)
    run_on_ranks(num_ranks, _load, tmp_path, cls, dtype)


@pytest.mark.parametrize("num_ranks", [2, 4])
def test_a_rank_reads_its_own_slices_only(tmp_path: Path, num_ranks: int) -> None:
    config = XLMRobertaXLConfig(**CONFIG)
    write_random_checkpoint(tmp_path, config)
    with torch.device("meta"):
        whole = XLMRobertaXLForMaskedLM(config)
    full_size = sum(p.numel() for p in whole.parameters())
    counts = run_on_ranks(num_ranks, _count, tmp_path)
    for held, read, _ in counts:
        assert read == held < full_size
    replicated = counts[0][1] - counts[0][2]
    assert sum(sharded for _, _, sharded in counts) == full_size - replicated


def test_new_parameters_agree_between_ranks_that_were_seeded_differently(tmp_path: Path) -> None:
    write_random_checkpoint(tmp_path, XLMRobertaXLConfig(**CONFIG))
    results = run_on_ranks(2, _new_head, tmp_path)
    for new, classifier, embeddings in results:
        assert new == ["classifier.weight", "classifier.bias"]
        assert torch.equal(classifier, results[0][1])
        assert torch.equal(embeddings, results[0][2])
    torch.manual_seed(0)
    XLMRobertaXLForTokenClassification.from_pretrained(tmp_path, num_labels=5)
    alone = XLMRobertaXLModel(XLMRobertaXLConfig(**CONFIG))
    assert torch.equal(alone.embeddings.word_embeddings.weight, results[0][2])


def test_options_of_loading_and_saving_on_ranks(tmp_path: Path) -> None:
    write_random_checkpoint(tmp_path / "in", XLMRobertaXLConfig(**CONFIG))
    run_on_ranks(2, _options_of_loading_and_saving, tmp_path / "in", tmp_path / "out")
