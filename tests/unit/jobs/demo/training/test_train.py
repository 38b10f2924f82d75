"""Training on a tiny recipe: batches, losses, going on after a stop, and the checkpoint."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from jobs.demo.training.batches import BatchSource
from jobs.demo.training.languages import LANGUAGES, POS_LABELS
from jobs.demo.training.network import DemoNetwork, contrastive_loss
from jobs.demo.training.recipe import Phase, Recipe
from jobs.demo.training.texts import read_split
from jobs.demo.training.train import Training, batch_source, learning_rate, train
from model import (
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
    XLMRobertaXLTokenizer,
)
from tests.tiny_tokenizer import write_tiny_sentencepiece

RECIPE = Recipe(
    hidden_size=32,
    num_layers=2,
    num_heads=2,
    dropout=0.1,
    num_steps=6,
    tokens_per_step=900,
    phases=(
        Phase(0),
        Phase(2, tagged_tokens=200, num_concepts=3, parallel_tokens=200, language=1.0, tags=1.0, contrast=0.3),
    ),
    num_warmup_steps=2,
    num_decay_steps=2,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tiny_sentencepiece(directory)
    return XLMRobertaXLTokenizer.from_pretrained(directory)


@pytest.fixture(scope="module")
def source(data: Path, tokenizer: XLMRobertaXLTokenizer) -> BatchSource:
    return batch_source(read_split(data), RECIPE, tokenizer)


def trained(out: Path, source: BatchSource, tokenizer: XLMRobertaXLTokenizer, recipe: Recipe = RECIPE) -> Training:
    out.mkdir(exist_ok=True)
    training = Training(recipe, tokenizer.vocab_size, out)
    training.resume()
    train(training, source)
    return training


@pytest.mark.parametrize("step", [0, 1, 2, 3, 17])
def test_batches_are_of_one_size_and_what_they_say(
    source: BatchSource, tokenizer: XLMRobertaXLTokenizer, step: int
) -> None:
    batch = source.batch(step)
    assert len(batch.input_ids) == sum(batch.lengths) == RECIPE.tokens_per_step
    assert len(batch.lengths) == len(batch.languages) == len(batch.concepts)
    masked = batch.masked_labels >= 0
    assert int(masked.sum()) == round(RECIPE.mask_probability * RECIPE.tokens_per_step)
    is_mask = batch.input_ids[masked] == tokenizer.mask_token_id
    assert 0.6 < float(is_mask.float().mean()) < 0.95
    assert batch.phase == RECIPE.phases[step >= 2]
    if batch.phase.has_heads:
        assert int((batch.tags >= 0).sum()) >= batch.phase.tagged_tokens // 2
        concepts = batch.concepts[batch.concepts >= 0]
        assert len(concepts.unique()) == batch.phase.num_concepts
        assert all(int((concepts == concept).sum()) >= 2 for concept in concepts.unique())
    else:
        assert not (batch.tags >= 0).any()
        assert not (batch.concepts >= 0).any()


def test_a_step_has_one_batch(source: BatchSource) -> None:
    assert torch.equal(source.batch(3).input_ids, source.batch(3).input_ids)
    assert not torch.equal(source.batch(3).input_ids, source.batch(4).input_ids)


def test_training_that_was_stopped_goes_on_as_if_it_had_not(
    tmp_path: Path, source: BatchSource, tokenizer: XLMRobertaXLTokenizer
) -> None:
    whole = trained(tmp_path / "whole", source, tokenizer)
    halves = tmp_path / "halves"
    halves.mkdir()
    first = Training(RECIPE, tokenizer.vocab_size, halves)
    while first.step < 3:
        first.take_step(source)
    first.save()
    second = trained(halves, source, tokenizer)
    assert second.step == whole.step == RECIPE.num_steps
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name


def test_training_learns(tmp_path: Path, source: BatchSource, tokenizer: XLMRobertaXLTokenizer) -> None:
    recipe = replace(RECIPE, num_steps=60, phases=(replace(RECIPE.phases[1], first_step=0),), num_warmup_steps=5)
    training = Training(recipe, tokenizer.vocab_size, tmp_path)
    source = _with_recipe(source, recipe)
    first = training.take_step(source)
    for _ in range(58):
        training.take_step(source)
    last = training.take_step(source)
    for name in ("masked_lm", "language", "tags"):
        assert last[name] < 0.8 * first[name], name


def _with_recipe(source: BatchSource, recipe: Recipe) -> BatchSource:
    source.__dict__["_recipe"] = recipe
    return source


def test_another_recipe_does_not_go_on(
    tmp_path: Path, source: BatchSource, tokenizer: XLMRobertaXLTokenizer
) -> None:
    training = Training(RECIPE, tokenizer.vocab_size, tmp_path)
    training.step = 2
    training.save()
    heads = RECIPE.phases[1]
    for changed in (
        replace(RECIPE, num_steps=9),
        replace(RECIPE, phases=(RECIPE.phases[0], replace(heads, tags=2.0))),
        replace(RECIPE, phases=(*RECIPE.phases, replace(heads, first_step=4, language=0.5))),
    ):
        Training(changed, tokenizer.vocab_size, tmp_path).resume()
    for changed in (
        replace(RECIPE, peak_learning_rate=0.5),
        replace(RECIPE, num_steps=3),
        replace(RECIPE, phases=(RECIPE.phases[0], replace(heads, first_step=1))),
    ):
        with pytest.raises(SystemExit, match="another recipe"):
            Training(changed, tokenizer.vocab_size, tmp_path).resume()


def test_learning_rate() -> None:
    recipe = replace(RECIPE, num_steps=100, num_warmup_steps=10, num_decay_steps=20, peak_learning_rate=1.0)
    rates = [learning_rate(step, recipe) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert set(rates[10:81]) == {1.0}
    assert rates[80:] == pytest.approx([1 - 0.05 * i for i in range(21)])


def test_the_checkpoint_is_that_of_the_projects_classes(
    tmp_path: Path, source: BatchSource, tokenizer: XLMRobertaXLTokenizer
) -> None:
    network = trained(tmp_path, source, tokenizer).network
    lm = XLMRobertaXLForMaskedLM.from_pretrained(tmp_path)
    language = XLMRobertaXLForSequenceClassification.from_pretrained(tmp_path)
    assert lm.load_report is not None
    assert not lm.load_report.new
    assert language.load_report is not None
    assert not language.load_report.new
    for name, parameter in network.lm.named_parameters():
        assert torch.equal(lm.get_parameter(name), parameter.bfloat16()), name
    for name, parameter in network.language.classifier.named_parameters():
        assert torch.equal(language.classifier.get_parameter(name), parameter.bfloat16()), name
    assert lm.config.id2label == {i: language.code for i, language in enumerate(LANGUAGES)}
    pos = json.loads((tmp_path / "pos" / "config.json").read_text(encoding="utf-8"))
    assert [pos["id2label"][str(i)] for i in range(len(POS_LABELS))] == list(POS_LABELS)
    loaded = DemoNetwork.load(tmp_path)
    for name, parameter in network.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter.bfloat16().float()), name


def test_contrastive_loss_is_that_of_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(7, 5, generator=generator)
    concepts = torch.tensor([1, 1, 2, 1, 2, 3, 3])
    losses = []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        scores = torch.stack([F.cosine_similarity(vectors[i], vectors[j], dim=0) / 0.1 for j in others])
        log_probs = scores.log_softmax(dim=0)
        positives = [place for place, j in enumerate(others) if concepts[j] == concepts[i]]
        losses.append(-log_probs[positives].mean())
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(contrastive_loss(vectors, concepts, 0.1), expected)
