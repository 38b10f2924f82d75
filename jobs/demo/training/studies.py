"""Public data for `jobs.fit` on the demo's model: `python -m jobs.demo.training.studies --data DIR --out OUT`.

DIR has `wikiann`, `xnli` and `glue/stsb` as the hub exports them, and `corpus` and `udpos` as the demo's model was
trained on. For each study that there is data for, OUT gets NAME.parquet and NAME.toml; then
`python -m jobs.fit OUT/NAME.toml`.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.demo.run import PACKAGE
from jobs.demo.training.texts import Text, read_split
from jobs.terminal.streams import accept_any_text

Row = dict[str, Any]
_NLI = ("entailment", "neutral", "contradiction")
_TEXTS_OF_A_LANGUAGE, _MAX_CHARACTERS = 300, 600
_SENTENCES = 300
"""Of WikiANN, of each language."""


def entities(data: Path) -> list[Row]:
    """Words with entity tags: a sample of each language of WikiANN's validation part."""
    return [
        {"tokens": row["tokens"], "tags": [str(tag) for tag in row["ner_tags"]], "lang": folder.name}
        for folder in _languages(data / "wikiann")
        for row in _sampled(_rows_of(folder, "validation"), _SENTENCES)
    ]


def kinds(data: Path) -> list[Row]:
    """Texts with the kinds of entities in them: several labels."""
    return [
        {
            "text": " ".join(row["tokens"]),
            "kinds": sorted({tag[2:] for tag in row["tags"] if tag != "O"}),
            "lang": row["lang"],
        }
        for row in entities(data)
    ]


def nli(data: Path) -> list[Row]:
    """XNLI: fitted on validation, tested on every tenth row of its test part; translations are a group."""
    rows = []
    for folder in _languages(data / "xnli"):
        for split, name, step in (("train", "validation", 1), ("test", "test", 10)):
            for number, row in list(enumerate(_rows_of(folder, name)))[::step]:
                rows.append({
                    "premise": row["premise"],
                    "hypothesis": row["hypothesis"],
                    "label": _NLI[row["label"]],
                    "lang": folder.name,
                    "split": split,
                    "group": f"{name}:{number}",
                })  # fmt: skip
    return rows


def similarity(data: Path) -> list[Row]:
    """STS-B: two sentences, and how alike they are from 0 to 5."""
    rows = _rows_of(data / "glue/stsb", "validation")
    return [
        {**{key: row[key] for key in ("sentence1", "sentence2")}, "score": float(row["label"])} for row in rows
    ]


def languages(data: Path) -> list[Row]:
    """Texts and their languages, on the sides that the demo's model was trained and measured on."""
    split = read_split(data)
    return [
        {
            "text": text.text[:_MAX_CHARACTERS],
            "lang": text.language,
            "split": side,
            "group": text.concept or f"{side}:{number}",
        }
        for side, texts in (("train", split.texts), ("test", split.held_out_texts))
        for number, text in enumerate(_of_each_language(texts))
    ]


def parts_of_speech(data: Path) -> list[Row]:
    """Words and their parts of speech, on the same sides."""
    split = read_split(data)
    return [
        {"tokens": list(one.words), "tags": list(one.tags), "lang": one.language, "split": side}
        for side, sentences in (("train", split.tagged), ("test", split.held_out_tagged))
        for one in sentences
    ]


_TAGS = 'task = "token-classification"\nlabel = "tags"\nmin_rows = 1\n'
# By name: the rows, settings of [input], and the head's.
STUDIES: Mapping[str, tuple[Callable[[Path], list[Row]], str, str]] = {
    "entities": (entities, 'words = "tokens"\nlanguage = "lang"\n', _TAGS),
    "kinds": (kinds, 'language = "lang"\n', 'label = "kinds"\n'),
    "nli": (
        nli,
        'text = "premise"\ntext_pair = "hypothesis"\nsplit = "split"\ngroup = "group"\nlanguage = "lang"\n',
        'label = "label"\n',
    ),
    "similarity": (similarity, 'text = "sentence1"\ntext_pair = "sentence2"\n', 'label = "score"\n'),
    "languages": (
        languages,
        'split = "split"\ngroup = "group"\nlanguage = "lang"\n',
        'label = "lang"\nmin_rows = 0\n',
    ),
    "parts_of_speech": (parts_of_speech, 'words = "tokens"\nsplit = "split"\nlanguage = "lang"\n', _TAGS),
}


def write_study(name: str, data: Path, out: Path, model: str) -> int:
    """Write rows and settings of a study; returns the number of rows."""
    read, shared, head = STUDIES[name]
    rows = read(data)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), out / f"{name}.parquet", row_group_size=2048)
    settings = (
        f'[model]\npath = "{model}"\n\n[input]\npath = "{out / name}.parquet"\n{shared}\n'
        f'[output]\npath = "{out / name}"\n\n[heads.{name}]\n{head}'
    )
    (out / f"{name}.toml").write_text(settings, encoding="utf-8")
    return len(rows)


def _languages(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _rows_of(folder: Path, split: str) -> list[Row]:
    return [row for file in sorted(folder.glob(f"{split}-*.parquet")) for row in pq.read_table(file).to_pylist()]


def _sampled(rows: Sequence[Row], most: int) -> list[Row]:
    return random.Random(0).sample(list(rows), min(most, len(rows)))


def _of_each_language(texts: Sequence[Text]) -> list[Text]:
    by_language = defaultdict(list)
    for text in texts:
        by_language[text.language].append(text)
    rng = random.Random(0)
    return [
        text
        for _, found in sorted(by_language.items())
        for text in rng.sample(found, min(_TEXTS_OF_A_LANGUAGE, len(found)))
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the studies that are named, or all."""
    accept_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m jobs.demo.training.studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(STUDIES)}; default: all")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="see above")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="see above")
    parser.add_argument("--model", default=str(PACKAGE / "model"), metavar="DIR", help="default: the demo's")
    options = parser.parse_args(arguments)
    for name in options.names or STUDIES:
        if name not in STUDIES:
            parser.error(f"found {name!r}, expected one of {', '.join(STUDIES)}")
        print(f"{name}: {write_study(name, options.data, options.out, options.model):,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
