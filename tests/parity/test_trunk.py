"""XLMRobertaXLModel against the oracle: every argument, packed and padded, gradients, bf16."""

from typing import Any

import pytest
import torch
from torch import Tensor

from model import PackedBatch, XLMRobertaXLConfig, XLMRobertaXLModel
from tests.oracle import (
    assert_close,
    assert_same_gradients,
    assert_same_output,
    oracle_of,
    padded_batch,
    random_ids,
    randomize,
)
from tests.packing import pack, unpack

TINY = {
    "vocab_size": 123,
    "hidden_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 70,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
}
LENGTHS = [9, 4, 9, 1, 17]


def trunk(add_pooling_layer: bool = True, **options: Any) -> XLMRobertaXLModel:
    model = XLMRobertaXLModel(XLMRobertaXLConfig(**TINY | options), add_pooling_layer).eval()
    randomize(model)
    return model


def own_mask(batch_size: int, num_queries: int, num_keys: int) -> Tensor:
    """A mask `[batch, queries, keys]` in which every query sees something."""
    mask = torch.rand(batch_size, num_queries, num_keys, generator=torch.Generator().manual_seed(5)) < 0.6
    mask[..., 0] = True
    return mask.long()


def test_all_outputs_of_a_padded_batch() -> None:
    model = trunk()
    input_ids, mask = padded_batch(model.config, LENGTHS)
    arguments = {"input_ids": input_ids, "attention_mask": mask}
    options = {"output_attentions": True, "output_hidden_states": True}
    ours, theirs = model(**arguments, **options), oracle_of(model)(**arguments, **options)
    assert len(ours.hidden_states) == TINY["num_hidden_layers"] + 1
    assert_same_output(ours, theirs)


def test_without_a_padding_id_positions_have_to_be_given() -> None:
    """The oracle fails without positions, and takes them; ours says what is missing."""
    model = trunk(pad_token_id=None)
    oracle = oracle_of(model)
    ids = torch.arange(14).view(2, 7)
    embeds = model.get_input_embeddings()(ids)
    positions = torch.arange(7)[None] + 3
    for inputs in ({"input_ids": ids}, {"inputs_embeds": embeds}):
        ours, theirs = (m(**inputs, position_ids=positions) for m in (model, oracle))
        assert_same_output(ours, theirs)
        with pytest.raises(TypeError):
            oracle(**inputs)
        with pytest.raises(ValueError, match=r"config\.pad_token_id must be set where position_ids are not given"):
            model(**inputs)
    with pytest.raises(ValueError, match=r"config\.pad_token_id must be set, found None"):
        model.forward_packed(PackedBatch.from_sequences([[5, 6]], pad_token_id=1))


def test_no_token_is_padding_without_a_padding_id() -> None:
    model = trunk(pad_token_id=None)
    oracle = oracle_of(model)
    ids, positions = torch.arange(12).view(2, 6), torch.arange(6)[None]
    for m in (model, oracle):
        m(ids, position_ids=positions)[0].square().mean().backward()
    assert_same_gradients(model, oracle)
    assert model.get_input_embeddings().weight.grad[:12].any(dim=1).all()
    torch.manual_seed(0)
    fresh = XLMRobertaXLModel(model.config)
    assert fresh.get_input_embeddings().weight.any(dim=1).all()
    fresh.resize_token_embeddings(130)
    fresh.set_input_embeddings(torch.nn.Embedding(130, 40))
    assert fresh(ids, position_ids=positions)[0].isfinite().all()


@pytest.mark.parametrize("hidden_act", ["gelu", "relu", "silu", "gelu_new", torch.tanh])
def test_activations(hidden_act: Any) -> None:
    model = trunk(hidden_act=hidden_act)
    input_ids = random_ids(model.config, 2, 7)
    assert_same_output(model(input_ids), oracle_of(model)(input_ids))


@pytest.mark.parametrize("position_embedding_type", ["absolute", "relative_key", "relative_key_query"])
@pytest.mark.parametrize("is_decoder", [False, True])
def test_position_embeddings(position_embedding_type: str, is_decoder: bool) -> None:
    model = trunk(position_embedding_type=position_embedding_type, is_decoder=is_decoder, output_attentions=True)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    ours, theirs = model(input_ids, mask), oracle_of(model)(input_ids, mask)
    assert ("past_key_values" in ours) == is_decoder
    assert_same_output(ours, theirs)


@pytest.mark.parametrize("is_decoder", [False, True])
@pytest.mark.parametrize(
    "case", ["mask_3d", "token_types", "positions", "embeds", "head_mask", "layer_head_mask", "left_padding"]
)
def test_arguments(case: str, is_decoder: bool) -> None:
    model = trunk(is_decoder=is_decoder, use_cache=False)
    config = model.config
    generator = torch.Generator().manual_seed(1)
    input_ids = random_ids(config, 3, 8)
    arguments: dict[str, Tensor] = {"input_ids": input_ids}
    if case == "mask_3d":
        arguments["attention_mask"] = own_mask(3, 8, 8)
    elif case == "token_types":
        arguments["token_type_ids"] = torch.randint(2, (3, 8), generator=generator)
    elif case == "positions":
        arguments["position_ids"] = torch.randint(config.max_position_embeddings, (3, 8), generator=generator)
    elif case == "embeds":
        arguments = {"inputs_embeds": torch.randn(3, 8, config.hidden_size, generator=generator)}
    elif case == "head_mask":
        arguments["head_mask"] = torch.tensor([1.0, 0.0, 1.0, 0.5, 0.0])
    elif case == "layer_head_mask":
        arguments["head_mask"] = torch.randint(2, (3, 5), generator=generator).float()
    else:
        arguments["input_ids"] = input_ids.index_fill(1, torch.tensor([0, 1]), config.pad_token_id)
        arguments["attention_mask"] = arguments["input_ids"].ne(config.pad_token_id).long()
    options = {"output_attentions": True, "output_hidden_states": True}
    ours, theirs = model(**arguments, **options), oracle_of(model)(**arguments, **options)
    assert_same_output(ours, theirs)
    plain = model(**{"input_ids": input_ids})
    assert not torch.allclose(plain[0], ours[0], atol=1e-2), "the argument must matter"


@pytest.mark.parametrize("encoder_mask_dims", [0, 2, 3])
def test_cross_attention(encoder_mask_dims: int) -> None:
    model = trunk(is_decoder=True, add_cross_attention=True)
    input_ids = random_ids(model.config, 2, 6)
    arguments: dict[str, Any] = {
        "input_ids": input_ids,
        "encoder_hidden_states": torch.randn(2, 9, model.config.hidden_size),
        "head_mask": torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]),
    }
    if encoder_mask_dims == 2:
        arguments["encoder_attention_mask"] = own_mask(2, 1, 9)[:, 0]
    elif encoder_mask_dims == 3:
        arguments["encoder_attention_mask"] = own_mask(2, 6, 9)
    options = {"output_attentions": True, "output_hidden_states": True}
    ours, theirs = model(**arguments, **options), oracle_of(model)(**arguments, **options)
    assert len(ours.past_key_values[0]) == 4
    assert_same_output(ours, theirs)
    assert_close(
        model(**arguments, **options, return_dict=False),
        oracle_of(model)(**arguments, **options, return_dict=False),
    )


def test_return_dict_false_keeps_the_place_of_the_pooler() -> None:
    for add_pooling_layer in (True, False):
        model = trunk(add_pooling_layer)
        input_ids = random_ids(model.config, 2, 6)
        ours = model(input_ids, output_hidden_states=True, return_dict=False)
        assert_close(ours, oracle_of(model)(input_ids, output_hidden_states=True, return_dict=False))
        assert (ours[1] is None) != add_pooling_layer


def test_gradients() -> None:
    model = trunk()
    oracle = oracle_of(model)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    for m in (model, oracle):
        out = m(input_ids, mask)
        (out.last_hidden_state.square().mean() + out.pooler_output.sum()).backward()
    assert_same_gradients(model, oracle)


def test_gradients_of_relative_positions() -> None:
    model = trunk(position_embedding_type="relative_key_query", add_pooling_layer=False)
    oracle = oracle_of(model)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    for m in (model, oracle):
        m(input_ids, mask).last_hidden_state.square().mean().backward()
    assert_same_gradients(model, oracle)


@pytest.mark.parametrize("is_decoder", [False, True])
def test_packed_equals_padded_and_the_oracle(is_decoder: bool) -> None:
    model = trunk(is_decoder=is_decoder)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    batch = pack(input_ids, mask, pad_token_id=model.config.pad_token_id)
    with torch.inference_mode():
        packed = unpack(model.forward_packed(batch), batch.lengths)
        keep = mask.bool()
        assert_close(packed[keep], oracle_of(model)(input_ids, mask)[0][keep])
        assert_close(packed[keep], model(input_ids, mask)[0][keep])


def test_packed_gradients_equal_padded() -> None:
    model, other = trunk(add_pooling_layer=False), trunk(add_pooling_layer=False)
    input_ids, mask = padded_batch(model.config, LENGTHS)
    model(input_ids, mask)[0][mask.bool()].square().sum().backward()
    batch = pack(input_ids, mask, pad_token_id=1)
    other.forward_packed(batch).square().sum().backward()
    assert_same_gradients(other, model, tolerance=2e-4)


def test_a_packed_sequence_does_not_depend_on_its_neighbours() -> None:
    model = trunk()
    sequences = [random_ids(model.config, n, seed=n).tolist() for n in (5, 5, 12, 1)]
    together = model.forward_packed(PackedBatch.from_sequences(sequences, pad_token_id=1))
    alone = [model.forward_packed(PackedBatch.from_sequences([s], pad_token_id=1)) for s in sequences]
    assert_close(together, torch.cat(alone), tolerance=1e-5)


def test_bf16_is_near_fp32() -> None:
    model = trunk()
    input_ids, mask = padded_batch(model.config, LENGTHS)
    batch = pack(input_ids, mask, pad_token_id=1)
    with torch.inference_mode():
        expected = model(input_ids, mask)[0]
        half = trunk().to(torch.bfloat16)
        padded = half(input_ids, mask)[0]
        packed = unpack(half.forward_packed(batch), batch.lengths)
    keep = mask.bool()
    assert padded.dtype == packed.dtype == torch.bfloat16
    scale = expected[keep].std()
    for found in (padded, packed):
        error = (found.float() - expected)[keep].abs()
        assert 0 < error.max() < 0.2 * scale
        assert error.mean() < 0.02 * scale


def test_refusals() -> None:
    model = trunk()
    input_ids = random_ids(model.config, 2, 4)
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model()
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model(input_ids, inputs_embeds=torch.zeros(2, 4, 40))
    with pytest.raises(ValueError, match="head_mask must be"):
        model(input_ids, head_mask=torch.ones(4))
    with pytest.raises(ValueError, match=r"a mask must be \[batch, keys\]"):
        model(input_ids, torch.ones(2, 1, 4, 4))
    with pytest.raises(ValueError, match="at most 38 tokens, found 39"):
        model.forward_packed(PackedBatch.from_sequences([[5] * 39], pad_token_id=1))
    with pytest.raises(ValueError, match=r"config\.position_embedding_type = 'absolute'"):
        trunk(position_embedding_type="relative_key").forward_packed(
            PackedBatch.from_sequences([[5]], pad_token_id=1)
        )
    with pytest.raises(ValueError, match="at most 38 tokens, found 39"):
        model(random_ids(model.config, 1, 39))
    padded = torch.full((1, 50), model.config.pad_token_id)
    padded[:, :38] = random_ids(model.config, 1, 38)
    assert model(padded, padded.ne(1).long())[0].isfinite().all()
    with pytest.raises(ValueError, match=r"reach over at most 40 tokens .*, found 41"):
        trunk(position_embedding_type="relative_key")(random_ids(model.config, 1, 41))
    with pytest.raises(ValueError, match="add_cross_attention"):
        trunk(is_decoder=True)(input_ids, encoder_hidden_states=torch.zeros(2, 3, 40))
