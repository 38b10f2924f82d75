from typing import Any

import numpy as np

from pipeline.batching.trunk_passes import TrunkPass, trunk_passes
from pipeline.tasks.contract import Masking
from tests.unit.pipeline.compute_fixtures import make_head, tiny_config


def test_heads_that_read_the_same_tokens_share_a_stream() -> None:
    heads = [
        make_head("topic", "text-classification"),
        make_head("vector", "embedding"),
        make_head("entails", "text-classification", text_pair="hypothesis"),
        make_head("other trunk", "embedding", trunk="other"),
        make_head("title", "embedding", text="title"),
        make_head("topic 2", "text-classification", weights="elsewhere"),
    ]
    passes = trunk_passes(heads)
    assert passes == [
        TrunkPass("trunk", 0, (0, 1, 5)),
        TrunkPass("trunk", 1, (2,)),
        TrunkPass("other", 0, (3,)),
        TrunkPass("trunk", 2, (4,)),
    ]


def test_losses_share_a_stream_if_they_are_masked_alike() -> None:
    options: list[dict[str, Any]] = [{}, {}, {"seed": 1}, {"mask_probability": 0.5}, {"strategy": "all"}]
    heads = [make_head("vector", "embedding")]
    heads += [make_head(f"loss {i}", "masked-lm-loss", **option) for i, option in enumerate(options)]
    passes = trunk_passes(heads)
    assert [trunk_pass.heads for trunk_pass in passes] == [(0,), (1, 2), (3,), (4,), (5,)]
    assert [trunk_pass.masking and trunk_pass.masking.seed for trunk_pass in passes] == [None, 0, 1, 0, 0]
    assert passes[4].masking == Masking(0.15, "all", 0)


def test_prompts_are_apart_from_what_is_only_read() -> None:
    decoder = tiny_config(is_decoder=True)
    heads = [
        make_head("loss", "causal-lm-loss", config=decoder),
        make_head("summary", "text-generation", config=decoder),
    ]
    assert [(trunk_pass.heads, trunk_pass.generates) for trunk_pass in trunk_passes(heads)] == [
        ((0,), False),
        ((1,), True),
    ]


def test_prompts_are_shared_if_they_are_drawn_alike() -> None:
    decoder = tiny_config(is_decoder=True)
    seeds = [0, 7, 0]
    heads = [make_head(str(i), "text-generation", config=decoder, seed=seed) for i, seed in enumerate(seeds)]
    assert [(trunk_pass.heads, trunk_pass.seed) for trunk_pass in trunk_passes(heads)] == [((0, 2), 0), ((1,), 7)]


def test_texts_are_shared_if_they_are_cut_alike() -> None:
    options: list[dict[str, Any]] = [{}, {"window": 512}, {"window": 256}, {"stride": 64}, {"truncate": True}]
    heads = [make_head(str(i), "embedding", **option) for i, option in enumerate(options)]
    assert [trunk_pass.heads for trunk_pass in trunk_passes(heads)] == [(0, 1), (2,), (3,), (4,)]


def test_every_head_is_in_one_stream() -> None:
    heads = [make_head(str(i), "embedding", trunk=f"t{i % 3}", text=f"c{i % 2}") for i in range(20)]
    passes = trunk_passes(heads)
    assert sorted(i for trunk_pass in passes for i in trunk_pass.heads) == list(range(20))
    assert len(passes) == 6
    assert all(heads[i].trunk == trunk_pass.trunk for trunk_pass in passes for i in trunk_pass.heads)
    assert np.unique([trunk_pass.spec for trunk_pass in passes]).tolist() == [0, 1]
