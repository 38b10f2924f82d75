"""Vocabulary size and pruned heads: as Transformers does it, in memory and through files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from model import (
    XLMRobertaXLConfig,
    XLMRobertaXLForCausalLM,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLForTokenClassification,
    XLMRobertaXLModel,
)
from tests.oracle import (
    assert_close,
    assert_same_gradients,
    assert_same_output,
    oracle_of,
    padded_batch,
    random_ids,
    randomize,
)
from tests.packing import pack

CONFIG = XLMRobertaXLConfig(
    vocab_size=60, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32,
    max_position_embeddings=20, initializer_range=0.5,
)  # fmt: skip


def model_of(cls: Any, **changes: Any) -> Any:
    model = cls(CONFIG.copy(**changes)).eval()
    randomize(model)
    return model


@pytest.mark.parametrize("tie_word_embeddings", [True, False])
@pytest.mark.parametrize("num_tokens", [40, 75])
def test_resizing_a_language_model(num_tokens: int, tie_word_embeddings: bool) -> None:
    model = model_of(XLMRobertaXLForMaskedLM, tie_word_embeddings=tie_word_embeddings)
    oracle = oracle_of(model)
    ids = random_ids(CONFIG, 2, 7) % 38 + 2
    before = model(ids).logits
    embeddings = model.resize_token_embeddings(num_tokens)
    oracle.resize_token_embeddings(num_tokens, mean_resizing=False)
    assert embeddings is model.get_input_embeddings()
    assert embeddings.weight.shape == (num_tokens, 24)
    assert model.config.vocab_size == oracle.config.vocab_size == num_tokens
    assert (model.lm_head.decoder.weight is embeddings.weight) == tie_word_embeddings
    assert model.lm_head.bias is model.lm_head.decoder.bias
    after = model(ids).logits
    assert after.shape[-1] == num_tokens
    kept = min(num_tokens, 60)
    assert_close(after[..., :kept], before[..., :kept], tolerance=1e-6)
    assert {n: p.shape for n, p in model.state_dict().items()} == {
        n: p.shape for n, p in oracle.state_dict().items()
    }
    if num_tokens > 60:
        assert not model.lm_head.bias[60:].any()
        assert embeddings.weight[60:].std().item() == pytest.approx(0.5, rel=0.15)
        assert model.lm_head.decoder.weight[60:].std().item() == pytest.approx(0.5, rel=0.15)
    model(ids, labels=ids).loss.backward()
    assert embeddings.weight.grad.shape == (num_tokens, 24)


def test_resizing_the_trunk_and_a_classifier() -> None:
    for cls in (XLMRobertaXLModel, XLMRobertaXLForSequenceClassification):
        model = model_of(cls)
        ids = random_ids(CONFIG, 2, 7)
        before = model(ids)[0]
        model.resize_token_embeddings(61)
        assert torch.equal(model(ids)[0], before)
        assert model(torch.full((1, 3), 60))[0].isfinite().all()


def test_rounding_up_and_doing_nothing() -> None:
    model = model_of(XLMRobertaXLForMaskedLM)
    weight = model.get_input_embeddings().weight
    assert model.resize_token_embeddings().weight is weight
    assert model.resize_token_embeddings(60).weight is weight
    assert model.resize_token_embeddings(pad_to_multiple_of=64).num_embeddings == 64
    assert model.resize_token_embeddings(65, pad_to_multiple_of=8).num_embeddings == 72


def test_a_resized_model_is_saved_and_loaded(tmp_path: Path) -> None:
    model = model_of(XLMRobertaXLForMaskedLM)
    model.resize_token_embeddings(70)
    model.save_pretrained(tmp_path)
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(tmp_path)
    ids = torch.tensor([[0, 69, 5, 2]])
    assert torch.equal(loaded(ids).logits, model(ids).logits)


@pytest.mark.parametrize(("num_tokens", "message"), [(0, "vocab_size must be"), (1, "pad_token_id must be in")])
def test_sizes_that_no_model_can_have_are_refused(num_tokens: int, message: str) -> None:
    model = model_of(XLMRobertaXLForMaskedLM)
    with pytest.raises(ValueError, match=message):
        model.resize_token_embeddings(num_tokens)
    assert model.config.vocab_size == 60


def test_embeddings_are_replaced_with_their_tie() -> None:
    model = model_of(XLMRobertaXLForMaskedLM)
    table = nn.Embedding(60, 24)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings().weight is table.weight
    assert model.get_output_embeddings().weight is table.weight
    ids = random_ids(CONFIG, 2, 5)
    assert_same_output(model(ids), oracle_of(model)(ids))
    with pytest.raises(ValueError, match=r"\[60, 24\], found \[61, 24\]; use resize_token_embeddings"):
        model.set_input_embeddings(nn.Embedding(61, 24))


def test_output_embeddings_are_replaced() -> None:
    model = model_of(XLMRobertaXLForMaskedLM, tie_word_embeddings=False)
    other = model_of(XLMRobertaXLForMaskedLM, tie_word_embeddings=False)
    randomize(other, seed=7)
    model.set_output_embeddings(other.get_output_embeddings())
    ids = random_ids(CONFIG, 2, 5)
    assert model.lm_head.bias is other.lm_head.bias
    assert_same_output(model(ids), oracle_of(model)(ids))


@pytest.mark.parametrize("tie_word_embeddings", [True, False])
@pytest.mark.parametrize("cls", [XLMRobertaXLForMaskedLM, XLMRobertaXLForCausalLM])
def test_a_linear_layer_becomes_the_projection(cls: Any, tie_word_embeddings: bool, tmp_path: Path) -> None:
    options = {"tie_word_embeddings": tie_word_embeddings, "is_decoder": cls is XLMRobertaXLForCausalLM}
    model = model_of(cls, **options)
    oracle = oracle_of(model)
    linear = nn.Linear(24, 60)
    for m in (model, oracle):
        m.set_output_embeddings(linear)
    found = model.get_output_embeddings()
    assert found.weight is linear.weight
    assert found.bias is model.lm_head.bias is linear.bias
    ids, mask = padded_batch(CONFIG, [7, 3])
    assert_same_output(model(ids, mask, labels=ids), oracle(ids, mask, labels=ids))
    for m in (model, oracle):
        linear.zero_grad()
        m(ids, mask, labels=ids).loss.backward()
    assert_same_gradients(model, oracle)
    # Loading ties what the configuration ties, here as there, and so does another size.
    model.save_pretrained(tmp_path)
    expected = type(oracle).from_pretrained(tmp_path, attn_implementation="eager")
    assert_same_output(cls.from_pretrained(tmp_path)(ids, mask), expected(ids, mask))
    for m in (model, oracle):
        m.resize_token_embeddings(50)
    assert (found.weight is model.get_input_embeddings().weight) == tie_word_embeddings
    assert_same_output(model(ids % 50, mask, labels=ids % 50), oracle(ids % 50, mask, labels=ids % 50))


def test_a_linear_layer_without_bias_gets_zeros() -> None:
    model = model_of(XLMRobertaXLForMaskedLM, tie_word_embeddings=False)
    oracle = oracle_of(model)
    linear = nn.Linear(24, 60, bias=False)
    for m in (model, oracle):
        m.set_output_embeddings(linear)
    ids = random_ids(CONFIG, 2, 5)
    assert_same_output(model(ids, labels=ids), oracle(ids, labels=ids))
    assert not model.lm_head.bias.any()


@pytest.mark.parametrize("value", [nn.Linear(24, 61), nn.Linear(23, 60)])
def test_a_projection_of_another_shape_is_refused(value: nn.Linear) -> None:
    model = model_of(XLMRobertaXLForMaskedLM)
    found = rf"\[{value.out_features}, {value.in_features}\]"
    with pytest.raises(ValueError, match=rf"= \[60, 24\], found {found}; use resize_token_embeddings"):
        model.set_output_embeddings(value)


def test_without_a_language_model_there_is_no_projection() -> None:
    for cls in (XLMRobertaXLModel, XLMRobertaXLForSequenceClassification, XLMRobertaXLForTokenClassification):
        model = model_of(cls)
        assert model.get_output_embeddings() is oracle_of(model).get_output_embeddings() is None
        assert not hasattr(model, "set_output_embeddings")


PRUNED = {0: [1], 2: [0, 3, 2]}


@pytest.mark.parametrize("position_embedding_type", ["absolute", "relative_key_query"])
@pytest.mark.parametrize("cls", [XLMRobertaXLModel, XLMRobertaXLForTokenClassification, XLMRobertaXLForCausalLM])
def test_pruning_equals_the_oracle(cls: Any, position_embedding_type: str) -> None:
    model = model_of(
        cls, position_embedding_type=position_embedding_type, is_decoder=cls is XLMRobertaXLForCausalLM
    )
    oracle = oracle_of(model)
    ids, mask = padded_batch(CONFIG, [7, 3])
    unpruned = model(ids, mask)[0]
    for m in (model, oracle):
        m.prune_heads(PRUNED)
    assert {int(i): sorted(h) for i, h in oracle.config.pruned_heads.items()} == {0: [1], 2: [0, 2, 3]}
    assert model.config.pruned_heads == {0: [1], 2: [0, 2, 3]}
    options = {"output_attentions": True, "output_hidden_states": True}
    ours, theirs = model(ids, mask, **options), oracle(ids, mask, **options)
    assert [a.shape[1] for a in ours.attentions] == [3, 4, 1]
    assert_same_output(ours, theirs)
    assert not torch.allclose(ours[0], unpruned, atol=1e-3)
    ours[0].square().mean().backward()
    theirs[0].square().mean().backward()
    assert_same_gradients(model, oracle)


def test_layers_are_counted_from_the_last_as_the_oracle_does(tmp_path: Path) -> None:
    model = model_of(XLMRobertaXLModel)
    oracle = oracle_of(model)
    ids, mask = padded_batch(CONFIG, [7, 3])
    for heads in ({-1: [0], 0: [3]}, {2: [0, 1], -3: [2]}):
        for m in (model, oracle):
            m.prune_heads(heads)
        assert model.config.pruned_heads == oracle.config.pruned_heads
        ours, theirs = (m(ids, mask, output_attentions=True) for m in (model, oracle))
        assert_same_output(ours, theirs)
    assert [a.shape[1] for a in ours.attentions] == [2, 4, 2]
    model.save_pretrained(tmp_path)
    assert_same_output(XLMRobertaXLModel.from_pretrained(tmp_path)(ids, mask, output_attentions=True), theirs)
    # Theirs loads a file of such a model only where no layer is named twice.
    other = model_of(XLMRobertaXLModel)
    other.prune_heads({-1: [0]})
    other.save_pretrained(tmp_path)
    loaded = type(oracle).from_pretrained(tmp_path, attn_implementation="eager")
    assert_same_output(other(ids, mask), loaded(ids, mask))


def test_pruning_is_masking() -> None:
    model = model_of(XLMRobertaXLModel)
    ids, mask = padded_batch(CONFIG, [7, 3])
    head_mask = torch.ones(3, 4)
    for layer, heads in PRUNED.items():
        head_mask[layer, heads] = 0
    expected = model(ids, mask, head_mask=head_mask)[0]
    model.prune_heads(PRUNED)
    assert_close(model(ids, mask)[0], expected)
    assert_close(model(ids, mask, head_mask=head_mask)[0], expected)
    batch = pack(ids, mask, pad_token_id=1)
    assert_close(model.forward_packed(batch), expected[mask.bool()])


def test_pruning_twice_counts_heads_as_in_the_whole_model() -> None:
    model, other = model_of(XLMRobertaXLModel), model_of(XLMRobertaXLModel)
    model.prune_heads({1: [0]})
    model.prune_heads({1: [0, 2]})
    other.prune_heads({1: [2, 0]})
    ids = random_ids(CONFIG, 2, 5)
    assert torch.equal(model(ids)[0], other(ids)[0])
    assert model.encoder.layers[1].attention.self.heads == [1, 3]


def test_a_pruned_model_is_saved_and_loaded_here_and_in_transformers(tmp_path: Path) -> None:
    model = model_of(XLMRobertaXLForMaskedLM)
    model.prune_heads(PRUNED)
    model.save_pretrained(tmp_path)
    ids = random_ids(CONFIG, 2, 5)
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(tmp_path)
    assert loaded.config.pruned_heads == {0: [1], 2: [0, 2, 3]}
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    oracle = oracle_of(model)
    oracle.save_pretrained(tmp_path / "theirs")
    assert_close(XLMRobertaXLForMaskedLM.from_pretrained(tmp_path / "theirs")(ids).logits, model(ids).logits)
    assert_close(
        type(oracle).from_pretrained(tmp_path, attn_implementation="eager")(ids).logits, model(ids).logits
    )


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({3: [0]}, r"must name layers in \[-3, 3\), found 3"),
        ({-4: [0]}, r"must name layers in \[-3, 3\), found -4"),
        ({-1: [0, 1], 2: [2, 3]}, r"must leave a head in every layer, found none in 2"),
        ({0: [4]}, r"must name heads in \[0, 4\), found 4 in layer 0"),
        ({0: [0, 1, 2, 3]}, r"must leave a head in every layer, found none in 0"),
    ],
)
def test_pruning_what_is_not_there_is_refused(heads: dict[int, list[int]], message: str) -> None:
    model = model_of(XLMRobertaXLModel)
    with pytest.raises(ValueError, match=message):
        model.prune_heads(heads)
    assert model.config.pruned_heads == {}
