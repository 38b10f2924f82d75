"""Generation against Transformers' own `generate`, and what it gets wrong: cached rows with padding."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

from model import XLMRobertaXLConfig, XLMRobertaXLForCausalLM
from model.generation.incremental_decoder import Decoder
from model.generation.options import GenerationOptions
from model.generation.sampling import filter_logits, keep_nucleus, keep_top_k
from tests.oracle import assert_close, oracle_of, random_ids, randomize

CONFIG = XLMRobertaXLConfig(
    vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
    max_position_embeddings=40, is_decoder=True,
)  # fmt: skip
PAD = CONFIG.pad_token_id
POSITIONS = ["absolute", "relative_key", "relative_key_query"]

pytestmark = pytest.mark.filterwarnings("ignore:.*`(temperature|top_p|top_k|early_stopping|length_penalty)`")


def causal_lm(seed: int = 0, std: float = 0.4, eos_bias: float = 0.0, **changes: Any) -> XLMRobertaXLForCausalLM:
    """A model with opinions: its continuations are neither constant nor uniform."""
    model = XLMRobertaXLForCausalLM(CONFIG.copy(**changes)).eval()
    randomize(model, seed=seed, std=std)
    with torch.no_grad():
        model.lm_head.bias[CONFIG.eos_token_id] += eos_bias
        # Where padding is chosen, the oracle's cached positions are not those of its full forward.
        model.lm_head.bias[PAD] -= 100.0
    return model


def theirs(model: XLMRobertaXLForCausalLM, input_ids: Tensor, **options: Any) -> Tensor:
    result: Tensor = oracle_of(model).generate(
        input_ids, attention_mask=torch.ones_like(input_ids), pad_token_id=PAD, **options
    )
    return result


@pytest.mark.parametrize("position_embedding_type", POSITIONS)
@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy(position_embedding_type: str, use_cache: bool) -> None:
    model = causal_lm(seed=5, std=0.3, position_embedding_type=position_embedding_type)
    prompt = random_ids(CONFIG, 6, 5)
    expected = theirs(model, prompt, max_new_tokens=12, do_sample=False)
    found = model.generate(prompt, max_new_tokens=12, use_cache=use_cache)
    assert torch.equal(found, expected)
    assert len(found[:, 5:].unique()) > 3, "a constant continuation would prove little"


def test_a_chosen_padding_token_has_no_place_of_its_own() -> None:
    model = causal_lm()
    with torch.no_grad():
        model.lm_head.bias[PAD] += 100.0
    prompt = random_ids(CONFIG, 3, 5)
    oracle, expected = oracle_of(model), prompt
    for _ in range(12):
        expected = torch.cat([expected, oracle(expected).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert (expected == PAD).any()
    assert torch.equal(model.generate(prompt, max_new_tokens=12, eos_token_id=[]), expected)


@pytest.mark.parametrize(
    "options", [{"max_length": 15}, {"max_new_tokens": 9}, {"max_new_tokens": 20, "eos_token_id": [2, 7, 9]}]
)
def test_lengths_and_ends(options: dict[str, Any]) -> None:
    model = causal_lm(seed=2, eos_bias=5.0)
    prompt = random_ids(CONFIG, 12, 4)
    expected = theirs(model, prompt, do_sample=False, **options)
    assert torch.equal(model.generate(prompt, **options), expected)
    assert (expected[:, -1] == PAD).any(), "some rows must end before others"
    assert (expected[:, -1] != PAD).any()


def test_the_default_is_twenty_tokens_in_all() -> None:
    assert causal_lm().generate(random_ids(CONFIG, 2, 4), eos_token_id=[]).shape == (2, 20)


@pytest.mark.parametrize("length_penalty", [1.0, 0.0, 2.0, -1.0])
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("num_beams", [2, 5])
def test_beam_search(num_beams: int, early_stopping: bool | str, length_penalty: float) -> None:
    model = causal_lm(seed=3, std=0.25, eos_bias=2.5)
    prompt = random_ids(CONFIG, 3, 4)
    options = {
        "num_beams": num_beams,
        "early_stopping": early_stopping,
        "length_penalty": length_penalty,
        "num_return_sequences": 2,
        "max_new_tokens": 8,
    }
    expected = theirs(model, prompt, **options)
    assert torch.equal(model.generate(prompt, **options), expected)


def test_beam_search_with_several_ends_and_without_cache() -> None:
    model = causal_lm(seed=4, std=0.25, eos_bias=1.0)
    prompt = random_ids(CONFIG, 2, 4)
    options: dict[str, Any] = {"num_beams": 3, "max_new_tokens": 9, "eos_token_id": [2, 11]}
    found = model.generate(prompt, **options)
    assert torch.equal(found[:, 4:7], theirs(model, prompt, **options)[:, 4:7])
    assert torch.equal(model.generate(prompt, use_cache=False, **options), found)


def test_sampling_draws_the_same_tokens_from_the_same_numbers() -> None:
    model = causal_lm()
    prompt = random_ids(CONFIG, 4, 5)
    options = {"do_sample": True, "temperature": 1.7, "top_k": 20, "top_p": 0.9, "max_new_tokens": 10}
    oracle = oracle_of(model)
    torch.manual_seed(7)
    expected = oracle.generate(
        prompt, attention_mask=torch.ones_like(prompt), pad_token_id=PAD, num_return_sequences=3, **options
    )
    torch.manual_seed(7)
    found = model.generate(prompt, num_return_sequences=3, **options)
    assert torch.equal(found, expected)
    assert len(found.unique(dim=0)) > 6


def test_sampling_is_reproducible_by_seed_and_generator() -> None:
    model = causal_lm()
    prompt = random_ids(CONFIG, 2, 5)
    state = torch.get_rng_state()
    first = model.generate(prompt, do_sample=True, temperature=3.0, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(model.generate(prompt, do_sample=True, temperature=3.0, generator=generator), first)
    assert not torch.equal(model.generate(prompt, do_sample=True, temperature=3.0, generator=generator), first)
    assert not torch.equal(model.generate(prompt, do_sample=True, temperature=3.0, seed=6), first)


def test_sampling_follows_the_distribution() -> None:
    model = causal_lm(std=0.2)
    prompt = random_ids(CONFIG, 1, 5)
    options = {"do_sample": True, "temperature": 0.8, "top_k": 6, "max_new_tokens": 1, "seed": 0}
    drawn = model.generate(prompt, num_return_sequences=4000, **options)[:, 5]
    logits = filter_logits(oracle_of(model)(prompt).logits[:, -1], 0.8, 6, 1.0)
    probs = F.softmax(logits, dim=-1)[0]
    frequencies = torch.bincount(drawn, minlength=50) / 4000
    assert (frequencies - probs).abs().max() < 0.03
    assert set(drawn.tolist()) <= set(probs.nonzero().flatten().tolist())


@pytest.mark.parametrize("top_k", [1, 3, 49, 50, 500])
def test_top_k_equals_transformers(top_k: int) -> None:
    logits = torch.randn(8, 50)
    assert torch.equal(keep_top_k(logits, top_k), TopKLogitsWarper(top_k)(None, logits))


@pytest.mark.parametrize("top_p", [1e-9, 0.01, 0.3, 0.8, 0.999])
def test_top_p_equals_transformers(top_p: float) -> None:
    logits = torch.randn(8, 50) * 3
    assert torch.equal(keep_nucleus(logits, top_p), TopPLogitsWarper(top_p)(None, logits))


@pytest.mark.parametrize("position_embedding_type", POSITIONS)
@pytest.mark.parametrize("side", ["left", "right", "both"])
@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_padded_row_goes_on_as_it_would_alone(num_beams: int, side: str, position_embedding_type: str) -> None:
    model = causal_lm(position_embedding_type=position_embedding_type)
    prompts = [random_ids(CONFIG, 1, n, seed=n) for n in (7, 2, 4)]
    rows = []
    for prompt in prompts:
        num_missing = 7 - prompt.shape[1]
        left = {"left": num_missing, "right": 0, "both": num_missing // 2}[side]
        rows.append(F.pad(prompt, (left, num_missing - left), value=PAD))
    batch = torch.cat(rows)
    found = model.generate(batch, num_beams=num_beams, max_new_tokens=8, eos_token_id=[])
    assert torch.equal(found[:, :7], batch)
    for prompt, row in zip(prompts, found, strict=True):
        alone = theirs(model, prompt, num_beams=num_beams, max_new_tokens=8, eos_token_id=None, do_sample=False)
        assert torch.equal(row[7:], alone[0, prompt.shape[1] :])
    with_mask = model.generate(batch, batch.ne(PAD), num_beams=num_beams, max_new_tokens=8, eos_token_id=[])
    assert torch.equal(with_mask, found)


def test_cached_logits_equal_the_full_forward_of_the_oracle() -> None:
    for position_embedding_type in POSITIONS:
        model = causal_lm(position_embedding_type=position_embedding_type)
        oracle = oracle_of(model)
        ids = random_ids(CONFIG, 3, 12)
        mask = torch.ones_like(ids[:, :4])
        decoder = Decoder(model, mask, GenerationOptions())
        full = oracle(ids).logits
        with torch.inference_mode():
            # Several cached queries at once, where the oracle itself is wrong for relative positions.
            for start, stop in ((0, 4), (4, 5), (5, 9), (9, 12)):
                assert_close(decoder.next_logits(ids[:, start:stop]), full[:, stop - 1])


def test_cross_attention() -> None:
    model = causal_lm(add_cross_attention=True)
    oracle = oracle_of(model)
    prompt = random_ids(CONFIG, 2, 3)
    states, mask = torch.randn(2, 6, 24), torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    for num_beams in (1, 2):
        found = model.generate(
            prompt, encoder_hidden_states=states, encoder_attention_mask=mask, num_beams=num_beams,
            max_new_tokens=6, eos_token_id=[],
        )  # fmt: skip
        if num_beams == 1:
            ids = prompt
            for _ in range(6):
                logits = oracle(ids, encoder_hidden_states=states, encoder_attention_mask=mask).logits[:, -1]
                ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
            assert torch.equal(found, ids)
    other = model.generate(prompt, encoder_hidden_states=-states, max_new_tokens=6, eos_token_id=[])
    assert not torch.equal(other, found)


SAMPLING = {"do_sample": True, "temperature": 50.0, "top_k": None}


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, SAMPLING])
def test_unusable_rows_are_never_chosen(options: dict[str, Any]) -> None:
    model = causal_lm(vocab_size=50)
    with torch.no_grad():
        model.lm_head.bias[30:] += 100.0
    prompt = random_ids(CONFIG, 8, 3) % 30
    prompt[prompt == PAD] = 5
    free = model.generate(prompt, max_new_tokens=10, eos_token_id=[], **options)
    bound = model.generate(prompt, max_new_tokens=10, eos_token_id=[], num_usable_tokens=30, **options)
    assert (free[:, 3:] >= 30).any()
    assert (bound[:, 3:] < 30).all()


def test_the_released_vocabulary_has_250002_usable_rows() -> None:
    released = XLMRobertaXLConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, is_decoder=True
    )
    assert GenerationOptions().num_usable(released) == 250002
    assert GenerationOptions().num_usable(CONFIG) == 50
    assert GenerationOptions(num_usable_tokens=250880).num_usable(released) == 250880
    model = XLMRobertaXLForCausalLM(released).eval()
    with torch.no_grad():
        model.lm_head.bias[250002:] = 1e4
    found = model.generate(torch.tensor([[0, 5]]), max_new_tokens=3)
    assert found.max() < 250002


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"num_beams": 0}, "num_beams must be at least 1"),
    ({"num_beams": 2, "do_sample": True}, "exclude each other"),
    ({"num_return_sequences": 2}, "at most num_beams = 1"),
    ({"temperature": 0.0}, "temperature must be positive"),
    ({"top_p": 0.0}, r"top_p must be in \(0, 1\]"),
    ({"top_k": -1}, "top_k must be at least 0"),
    ({"early_stopping": "later"}, "early_stopping must be True, False or 'never'"),
    ({"max_length": 4}, "a prompt of 4 tokens, max_length = 4"),
    ({"max_new_tokens": 35}, r"at most 38 tokens, found 4 \+ 35"),
    ({"num_usable_tokens": 51}, r"num_usable_tokens must be in \[1, config.vocab_size = 50\]"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        causal_lm().generate(random_ids(CONFIG, 2, 4), **options)


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 3}])
def test_without_an_end_every_row_is_as_long_as_may_be(options: dict[str, int]) -> None:
    model = causal_lm(seed=5, std=0.3, eos_token_id=None)
    prompt = random_ids(CONFIG, 3, 5)
    found = model.generate(prompt, max_new_tokens=7, **options)
    assert torch.equal(found, theirs(model, prompt, max_new_tokens=7, do_sample=False, **options))
    assert found.shape == (3, 12)


@pytest.mark.parametrize("position_embedding_type", POSITIONS)
def test_generation_wants_a_padding_id_where_the_oracle_fails(position_embedding_type: str) -> None:
    model = causal_lm(position_embedding_type=position_embedding_type)
    oracle = oracle_of(model)
    model.config.pad_token_id = oracle.roberta.embeddings.padding_idx = None
    prompt = random_ids(CONFIG, 2, 4)
    with pytest.raises(TypeError):
        oracle.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=2)
    for mask in (None, torch.ones_like(prompt)):
        with pytest.raises(ValueError, match=r"^config\.pad_token_id must be set, found None"):
            model.generate(prompt, mask, max_new_tokens=2, pad_token_id=0)


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match=r"generate needs config\.is_decoder = True"):
        causal_lm(is_decoder=False).generate(random_ids(CONFIG, 2, 4))
    with pytest.raises(ValueError, match="at least one token that attention_mask keeps"):
        causal_lm().generate(torch.tensor([[5, 6], [PAD, PAD]]))
    with pytest.raises(TypeError, match="max_tokens"):
        causal_lm().generate(random_ids(CONFIG, 2, 4), max_tokens=3)
