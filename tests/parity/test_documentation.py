"""The code examples of the documentation page run with nothing changed but the import.

They are taken from the docstrings that the page is made of, and run next to a tiny checkpoint that lies where
`facebook/xlm-roberta-xl` is looked for first: in a directory of that name.
"""

import doctest
import io
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers

from model import XLMRobertaXLConfig, XLMRobertaXLForMaskedLM, XLMRobertaXLTokenizer
from tests.tiny_tokenizer import SENTENCES

MODEL_ID = "facebook/xlm-roberta-xl"
# What the examples leave behind, by class: the proof that they ran to their end.
RESULTS = {
    "XLMRobertaXLModel": "last_hidden_states",
    "XLMRobertaXLForCausalLM": "prediction_logits",
    "XLMRobertaXLForMaskedLM": "outputs",
    "XLMRobertaXLForSequenceClassification": "loss",
    "XLMRobertaXLForMultipleChoice": "loss",
    "XLMRobertaXLForTokenClassification": "predicted_tokens_classes",
    "XLMRobertaXLForQuestionAnswering": "loss",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `facebook/xlm-roberta-xl`: a tiny model, and a tokenizer that knows Paris as one piece."""
    root: Path = tmp_path_factory.mktemp("documentation")
    checkpoint = root / MODEL_ID
    checkpoint.mkdir(parents=True)
    vocabulary = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES, "The capital of France is Paris."]), model_writer=vocabulary,
        vocab_size=650, character_coverage=1.0, normalization_rule_name="nmt_nfkc", unk_id=0, bos_id=1, eos_id=2,
        pad_id=-1, user_defined_symbols=["▁Paris", "▁."], num_threads=1, minloglevel=2,
    )  # fmt: skip
    (checkpoint / "sentencepiece.bpe.model").write_bytes(vocabulary.getvalue())
    config = XLMRobertaXLConfig(
        vocab_size=XLMRobertaXLTokenizer.from_pretrained(checkpoint).vocab_size, hidden_size=24,
        num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, max_position_embeddings=130,
    )  # fmt: skip
    XLMRobertaXLForMaskedLM(config).save_pretrained(checkpoint)
    return root


def examples(docstring: str) -> list[str]:
    """The sources of a docstring's examples; each begins with its imports, which are changed to ours."""
    sources: list[str] = []
    was_import = False
    for example in doctest.DocTestParser().get_examples(docstring):
        is_import = example.source.startswith(("import", "from"))
        if is_import and not was_import:
            sources.append("")
        was_import = is_import
        source = example.source.replace("from transformers import", "from model import")
        sources[-1] += source.replace("import AutoTokenizer", "import XLMRobertaXLTokenizer as AutoTokenizer")
    return sources


def run(source: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(directory)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(compile(source, "documentation", "exec"), names)
    return names


@pytest.mark.parametrize("class_name", list(RESULTS))
def test_examples_of_the_classes(directory: Path, class_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    docstring = getattr(transformers, class_name).forward.__doc__
    # The page shows the causal model's example with the names of another family.
    docstring = docstring.replace("FacebookAI/roberta-base", MODEL_ID)
    if class_name == "XLMRobertaXLForCausalLM":
        docstring = docstring.replace("RobertaForCausalLM", class_name).replace(
            "RobertaConfig", "XLMRobertaXLConfig"
        )
    found = examples(docstring)
    assert found
    for source in found:
        names = run(source, directory, monkeypatch)
        assert f"{class_name}.from_pretrained" in source
        assert type(names["model"]).__name__ == class_name
        assert RESULTS[class_name] in names


def test_masked_lm_example_in_full(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = examples(transformers.XLMRobertaXLForMaskedLM.forward.__doc__)
    names = run(source, directory, monkeypatch)
    assert names["inputs"].input_ids.shape == names["labels"].shape
    assert names["labels"].ne(-100).sum() == 1
    assert names["tokenizer"].decode(names["labels"][names["labels"] != -100]) == "Paris"
    assert names["outputs"].loss.isfinite()
    assert names["outputs"].loss.requires_grad


def test_example_of_the_configuration(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = examples(transformers.XLMRobertaXLConfig.__doc__)
    with torch.device("meta"):  # the full model has 3.5 billion parameters
        names = run(source, directory, monkeypatch)
    assert names["configuration"] is names["model"].config
    assert sum(p.numel() for p in names["model"].parameters()) == 3_482_485_760
