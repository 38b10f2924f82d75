"""The tiles of attention on a GPU: every query of every sequence lies in one tile, whatever the lengths are."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.kernels.attention_triton_tiles import TileShape, tile_groups

CPU = torch.device("cpu")


@given(
    lengths=st.lists(st.one_of(st.integers(1, 600), st.sampled_from([16, 17, 32, 33, 64, 65, 128])), min_size=1),
    head_size=st.sampled_from([16, 80, 96, 97, 128]),
)
def test_each_query_lies_in_one_tile_of_its_sequence(lengths: list[int], head_size: int) -> None:
    begins = [sum(lengths[:i]) for i in range(len(lengths))]
    queries: Counter[int] = Counter()
    for group in tile_groups(tuple(lengths), head_size, CPU):
        assert group.tiles.dtype == torch.int32
        assert group.tiles.is_contiguous()
        for first_token, length, first_query in group.tiles.tolist():
            assert lengths[begins.index(first_token)] == length
            assert first_query % group.shape.num_queries == 0
            last = min(length, first_query + group.shape.num_queries)
            assert last > first_query
            queries.update(range(first_token + first_query, first_token + last))
    assert queries == Counter(range(sum(lengths)))


@pytest.mark.parametrize("head_size", [80, 128])
def test_a_sequence_has_the_same_tiles_whatever_is_beside_it(head_size: int) -> None:
    def tiles_of(lengths: tuple[int, ...], begin: int) -> list[tuple[TileShape, int]]:
        groups = tile_groups(lengths, head_size, CPU)
        return [(g.shape, first) for g in groups for token, _, first in g.tiles.tolist() if token == begin]

    for length in (1, 16, 33, 64, 100, 512):
        assert tiles_of((length,), 0) == tiles_of((7, 300, length, 512, 30), 307)


def test_sequences_of_one_length_can_be_left_out() -> None:
    tiles = [tile for group in tile_groups((512, 40, 512, 600), 80, CPU, 512) for tile in group.tiles.tolist()]
    assert {(first_token, length) for first_token, length, _ in tiles} == {(512, 40), (1064, 600)}
    assert not tile_groups((512, 512), 80, CPU, 512)


def test_short_sequences_have_small_tiles() -> None:
    shapes = [group.shape.num_queries for group in tile_groups((16, 32, 64, 512), 80, CPU)]
    assert shapes == [16, 32, 64]


def test_narrow_heads_are_never_left_to_the_instructions_of_hopper() -> None:
    """They lie in two pieces, for one of which these would be wrong."""
    for head_size in (16, 80, 96):
        assert not any(g.shape.is_of_hopper for g in tile_groups((16, 32, 64, 512), head_size, CPU))
