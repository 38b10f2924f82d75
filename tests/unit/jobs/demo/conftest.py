"""A training corpus in the layout of the real one, of sentences written for the tests."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from jobs.demo.training.languages import POS_LANGUAGES
from tests.tiny_tokenizer import SENTENCES

LANGUAGES = {"eng_Latn": "en", "deu_Latn": "de", "fra_Latn": "fr"}
NUM_CONCEPTS = 24


def corpus_rows() -> list[dict[str, str]]:
    """Sentences in three languages that say the same, an article in two, and documents."""
    rows = []
    for number in range(NUM_CONCEPTS):
        for language, code in LANGUAGES.items():
            text = f"{SENTENCES[number]} {code} {number * 7919} {SENTENCES[-1 - number]}"
            rows.append(("sib200-test", f"sib200-test:{language}:{number}", language, text))
    for number in range(40):
        text = f"{number * 104729} " + " ".join(SENTENCES[number % 7 :: 3])[: 300 + number]
        rows.append(("tydiqa-passage", f"tydiqa-passage:en:{number}", "en", text[::-1] if number % 2 else text))
    rows.append(("udhr", "udhr:en:eng", "en", "\n".join(SENTENCES)))
    rows.append(("udhr", "udhr:xx:xxx", "xx", "no label has this language"))
    return [dict(zip(("source", "id", "lang", "text"), row, strict=True)) for row in rows]


def treebank_rows(language: str) -> list[dict[str, Any]]:
    """Eighty tagged sentences: eight blocks of ten, of which one is held out."""
    return [
        {
            "tokens": [language, f"({number * 31}", "runs", "home", ",", f"{language}{number}", "."],
            "pos_tags": ["PROPN", "NUM", "VERB", "NOUN", "PUNCT", "NOUN", "PUNCT"],
        }
        for number in range(80)
    ]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `corpus/` and `udpos/`."""
    root = tmp_path_factory.mktemp("data")
    (root / "corpus").mkdir()
    pq.write_table(pa.Table.from_pylist(corpus_rows()), root / "corpus" / "part-0.parquet")
    for language in POS_LANGUAGES:
        (root / "udpos" / language).mkdir(parents=True)
        table = pa.Table.from_pylist(treebank_rows(language))
        pq.write_table(table, root / "udpos" / language / "validation-00000-of-00001.parquet")
    return root


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)
