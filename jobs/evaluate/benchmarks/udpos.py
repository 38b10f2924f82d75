"""UD-POS of XTREME: the parts of speech of words, from Universal Dependencies 2.5."""

from collections.abc import Sequence

import pyarrow as pa

from jobs.evaluate.benchmarks.tagged_words import read_tagged_words
from jobs.evaluate.data.files import DataFiles
from jobs.evaluate.data.subsets import SubsetFolders
from jobs.evaluate.examples import Average, Benchmark, BenchmarkTask

LABELS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART"),
    *("PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
_LANGUAGES = """
af Afrikaans
ar Arabic
bg Bulgarian
de German
el Greek
en English
es Spanish
et Estonian
eu Basque
fa Persian
fi Finnish
fr French
he Hebrew
hi Hindi
hu Hungarian
id Indonesian
it Italian
ja Japanese
kk Kazakh
ko Korean
mr Marathi
nl Dutch
pt Portuguese
ru Russian
ta Tamil
te Telugu
th Thai
tl Tagalog
tr Turkish
ur Urdu
vi Vietnamese
yo Yoruba
zh Chinese
"""
LANGUAGES = dict(line.split() for line in _LANGUAGES.strip().splitlines())
"""By code, the name in the hub's folders of XTREME."""
ADDED = {"lt": "Lithuanian", "pl": "Polish", "ro": "Romanian", "uk": "Ukrainian", "wo": "Wolof"}
"""Languages that XTREME-R added."""
_FOLDERS = SubsetFolders(
    "udpos",
    {code: (code, f"udpos.{code}", f"udpos.{name}", name) for code, name in {**LANGUAGES, **ADDED}.items()},
)


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    found = _FOLDERS.find(files, split, wanted)
    return {code: read_tagged_words(files, chosen, "pos_tags", LABELS) for code, chosen in found.items()}


BENCHMARK = Benchmark(
    "udpos",
    (
        BenchmarkTask(
            name="udpos",
            kind="words",
            metrics=("token_accuracy", "xtreme_f1"),
            splits=_FOLDERS.splits,
            read=_read,
            labels=LABELS,
            subsets=tuple(_FOLDERS.names),
            averages=(Average(), Average("mean of XTREME's 33", frozenset(ADDED))),
        ),
    ),
    notes=("XTREME's figures are of the test split, and its F1 takes neighbours with equal tags for one chunk.",),
)
