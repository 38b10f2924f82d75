"""Real rows of the shared data sets side by side in one table: each task reads the columns of its own set."""

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.shared_data import shared_data

NUM_ROWS = 208
CANDIDATES = ("sport", "politics", "la science", "天气")
SPACED = ("ar", "de", "en", "es", "fi", "fr", "id", "ko", "ru", "tr", "vi", "bn", "hi", "sw", "ta")
UNSPACED = ("ja", "zh")


def real_rows() -> pa.Table:
    """`NUM_ROWS` rows; see the sources below for what the columns are."""
    columns = _corpus() | _pairs() | _questions() | _choices() | _words() | _sentences()
    columns["candidates"] = [list(CANDIDATES[: 1 + i % len(CANDIDATES)]) for i in range(NUM_ROWS)]
    return pa.table({name: values[:NUM_ROWS] for name, values in columns.items()})


def long_documents() -> pa.Table:
    """The same document in three scripts, some thousand tokens each; Chinese has few blanks."""
    ids = ["udhr:en:eng", "udhr:hi:hin", "udhr:zh:cmn_hans"]
    table = pq.read_table(shared_data("corpus"), columns=["id", "text"], filters=[("id", "in", ids)])
    return table.sort_by("id").select(["text"])


def _corpus() -> dict[str, list[object]]:
    """`text`: documents of all sources but the long one; `short`: sentences; `masked`: with one or two masks."""
    table = pq.read_table(shared_data("corpus", "part-00000.parquet"), columns=["source", "text"])
    documents: dict[str, list[str]] = {}
    for row in table.to_pylist():
        if len(row["text"]) <= 240:
            documents.setdefault(row["source"], []).append(row["text"])
    sentences = documents["tatoeba"]
    mixed = itertools.chain.from_iterable(itertools.zip_longest(*(texts[:80] for texts in documents.values())))
    texts = [text for text in mixed if text is not None]
    masked = [_with_mask(text, i) for i, text in enumerate(sentences[NUM_ROWS : 2 * NUM_ROWS])]
    return {"text": texts, "short": list(sentences), "masked": masked}


def _with_mask(text: str, number: int) -> str:
    """A mask in the place of a middle word, every third time one in front as well, or joined to a word."""
    words = text.split()
    middle = len(words) // 2
    masked = " ".join([*words[:middle], "<mask>", *words[middle + 1 :]])
    return (masked, f"<mask>{masked}", masked.replace(" <mask>", "<mask>"))[number % 3]


def _pairs() -> dict[str, list[object]]:
    """XNLI, some of every language."""
    rows = _some_of_each(sorted(shared_data("xnli").iterdir()), "test")
    return {name: [row[name] for row in rows] for name in ("premise", "hypothesis")}


def _questions() -> dict[str, list[object]]:
    """XQuAD, some of every language; contexts of one window."""
    rows = _some_of_each(sorted(shared_data("xquad").iterdir()), "validation", stride=7)
    return {name: [row[name] for row in rows] for name in ("question", "context")}


def _choices() -> dict[str, list[object]]:
    """XCOPA; `choices` also holds one or three texts."""
    rows = _some_of_each(sorted(shared_data("xcopa").iterdir()), "test")
    columns = {name: [row[name] for row in rows] for name in ("choice1", "choice2")}
    three = [[row["choice1"], row["choice2"], row["question"]] for row in rows]
    choices = [texts[: (2, 3, 1, 2)[i % 4]] for i, texts in enumerate(three)]
    return {"prompt": [row["premise"] for row in rows], **columns, "choices": choices}


def _words() -> dict[str, list[object]]:
    """UD-POS, some of every language."""
    return {
        "tokens": [row["tokens"] for row in _some_of_each(sorted(shared_data("udpos").iterdir()), "validation")]
    }


def _sentences() -> dict[str, list[object]]:
    """WikiANN as running text: `spaced` in scripts with blanks between words, `unspaced` in others."""
    root = shared_data("wikiann")
    spaced = _some_of_each([root / language for language in SPACED], "validation")
    unspaced = _some_of_each([root / language for language in UNSPACED], "validation")
    return {
        "spaced": [" ".join(row["tokens"]) for row in spaced],
        "unspaced": ["".join(row["tokens"]) for row in unspaced],
    }


def _some_of_each(folders: list[Path], split: str, *, stride: int = 1) -> list[dict[str, object]]:
    """Rows of every folder by turns, so many that there are enough."""
    num_rows = -(-NUM_ROWS // len(folders))
    tables = [pq.read_table(next(folder.glob(f"{split}*"))) for folder in folders]
    parts = [table.slice(0, num_rows * stride).to_pylist()[::stride] for table in tables]
    return list(itertools.chain.from_iterable(zip(*parts, strict=True)))
